import assert from 'node:assert/strict';
import { test } from 'node:test';

import type { Camera, Viewport } from '../src/ohif.ts';
import { ownPlane, turnToSlices } from '../src/own_plane.ts';

/** Columns, rows and slices of an axial series, from the feet to the head. */
const AXIAL = [1, 0, 0, 0, 1, 0, 0, 0, 1];
const [COS, SIN] = [Math.cos(0.2), Math.sin(0.2)];
/** A sagittal series whose columns run to the back, whose rows run down and whose slices run to the left, turned by 0.2 around the vertical. */
const TURNED = [-SIN, COS, 0, 0, 0, -1, COS, SIN, 0];

test('views of an image in the planes of the patient are not turned', () => {
  assert.deepEqual(['axial', 'sagittal', 'coronal'].map(plane => ownPlane(plane, AXIAL)), [undefined, undefined, undefined]);
  assert.equal(ownPlane('axial', TURNED), undefined);
});

test('the view of tilted slices looks along their normal, from the side that OHIF looks from', () => {
  assert.deepEqual(ownPlane('sagittal', TURNED), { viewPlaneNormal: [COS, SIN, 0], viewUp: [-0, -0, 1] });
  const backwards = TURNED.map((value, place) => (place < 6 ? value : -value));
  assert.deepEqual(ownPlane('sagittal', backwards)?.viewPlaneNormal, [COS, SIN, 0]);
  assert.deepEqual(ownPlane('coronal', TURNED), { viewPlaneNormal: [SIN, -COS, -0], viewUp: [-0, -0, 1] });
});

test('a view is turned once', () => {
  let turned = 0;
  let camera: Camera = { viewPlaneNormal: [1, 0, 0], viewUp: [0, 0, 1] };
  const viewport = {
    getImageData: () => ({ dimensions: [1, 1, 1], direction: TURNED }),
    getCamera: () => camera,
    setCamera: (to: Camera) => { camera = to; turned++; },
    resetCamera: () => undefined,
    render: () => undefined,
  };
  for (const plane of ['sagittal', 'sagittal', 'axial']) {
    turnToSlices(viewport as unknown as Viewport, plane);
  }
  assert.equal(turned, 1);
});
