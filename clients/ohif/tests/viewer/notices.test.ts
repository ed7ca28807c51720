import assert from 'node:assert/strict';
import { test } from 'node:test';

import { withoutSeriesNotice } from '../../src/viewer/notices.ts';

test('of the notices of OHIF only that about other series of a study is left out', () => {
  const shown: object[] = [];
  const notices = { show: (notice: object): unknown => shown.push(notice) };
  withoutSeriesNotice(notices);
  notices.show({ title: 'Series filter', message: 'Each of the series in filter: 1.2 are not part of the current study' });
  notices.show({ title: 'Export DICOM SEG' });
  assert.deepEqual(shown, [{ title: 'Export DICOM SEG' }]);
});
