import assert from 'node:assert/strict';
import { test } from 'node:test';

import { MODE_MODULE, hasVolume } from '../../src/viewer/mode.ts';

test('a study is offered if it has a volume of any kind', () => {
  assert.deepEqual(['CT', 'MR', 'PT', 'SEG\\PT', 'SR\\SEG', 'SM', ''].map(hasVolume), [true, true, true, true, false, false, false]);
});

test('the mode is that of OHIF but for the studies that it is offered for', async () => {
  const shipped = { modeFactory: (options: object) => ({ routeName: 'monai-label', ...options, isValidMode: () => ({ valid: false, description: '' }) }) };
  const options = { modeConfiguration: 7, loadModules: (names: string[]) => Promise.resolve(names.map(() => shipped)) };
  const mode = (await MODE_MODULE.modeFactory(options)) as unknown as Record<string, unknown>;
  assert.deepEqual([mode.routeName, mode.modeConfiguration, 'loadModules' in mode], ['monai-label', 7, false]);
  const { isValidMode } = await MODE_MODULE.modeFactory(options);
  assert.equal(isValidMode({ modalities: 'PT' }).valid, true);
});
