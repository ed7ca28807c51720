/**
 * The name of the reader, where nobody logs in. It lies in a cookie, so every request of the page has it, also those of
 * parts of OHIF that know no reader, and it is there again after the page was loaded anew.
 */

const COOKIE = 'activelabel_reader';
const YEAR_SECONDS = 365 * 24 * 3600;
/** The longest name that the server keeps. */
export const LONGEST_NAME = 100;

/** The name in the cookies of a page. */
export function nameIn(cookies: string): string {
  const found = cookies.split('; ').find(cookie => cookie.startsWith(`${COOKIE}=`));
  return found === undefined ? '' : decodeURIComponent(found.slice(COOKIE.length + 1));
}

/** The cookie that keeps a name, or removes it if it is empty. */
export function cookieOf(name: string): string {
  const kept = name.trim().slice(0, LONGEST_NAME);
  return `${COOKIE}=${encodeURIComponent(kept)}; path=/; SameSite=Strict; max-age=${kept === '' ? 0 : YEAR_SECONDS}`;
}
