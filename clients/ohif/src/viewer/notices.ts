/** What OHIF tells readers that is not so. */

const SERIES = 'Series filter';

interface Notices {
  show(notice: object): unknown;
}

/**
 * Keep OHIF from saying in red that the series of a case is not part of its study. It shows that series, and says so of the
 * others, such as a SEG, in a study that the page has loaded before.
 */
export function withoutSeriesNotice(notices: Notices): void {
  const shipped = notices.show.bind(notices);
  notices.show = notice => ((notice as { title?: string }).title === SERIES ? undefined : shipped(notice));
}
