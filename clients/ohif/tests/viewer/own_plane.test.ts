import assert from 'node:assert/strict';
import { test } from 'node:test';

import type { Camera, Viewport } from '../../src/viewer/ohif.ts';
import { mendTurnedViews, ownPlane, turnOf, turnToSlices } from '../../src/viewer/own_plane.ts';

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

test('each plane has an axis of its own, the one that the server gives it', () => {
  // The axes of Rz(45°)·Rx(50°), Rx(50°)·Ry(40°), Ry(50°)·Rz(50°)·Rx(50°) and Rx(100°)·Rz(60°)·Ry(20°), and which of
  // them nibabel's io_orientation gives to the sagittal, the coronal and the axial plane.
  const oblique: [number[], number[]][] = [
    [[0.707107, 0.707107, 0, -0.454519, 0.454519, 0.766044, 0.541675, -0.541675, 0.642788], [0, 2, 1]],
    [[0.766044, 0.492404, -0.413176, 0, 0.642788, 0.766044, 0.642788, -0.586824, 0.492404], [0, 2, 1]],
    [[0.413176, 0.766044, -0.492404, 0.270313, 0.413176, 0.869607, 0.869607, -0.492404, -0.036357], [2, 0, 1]],
    [[0.469846, 0.19551, 0.860825, -0.866025, -0.086824, 0.492404, 0.17101, -0.976851, 0.128522], [1, 2, 0]],
  ];
  for (const [direction, expected] of oblique) {
    const normals = ['sagittal', 'coronal', 'axial'].map(plane => ownPlane(plane, direction)?.viewPlaneNormal.map(Math.abs));
    assert.deepEqual(normals, expected.map(axis => direction.slice(3 * axis, 3 * axis + 3).map(Math.abs)));
  }
});

test('a view is turned once', () => {
  let turned = 0;
  let camera: Camera = { viewPlaneNormal: [1, 0, 0], viewUp: [0, 0, 1] };
  const viewport = {
    getImageData: () => ({ dimensions: [1, 1, 1], direction: TURNED }),
    getCamera: () => camera,
    setCamera: (to: Camera) => { camera = to; turned++; },
    render: () => undefined,
  };
  for (const plane of ['sagittal', 'sagittal', 'axial']) {
    turnToSlices(viewport as unknown as Viewport, plane);
  }
  assert.equal(turned, 1);
  camera = { viewPlaneNormal: [1, 0, 0], viewUp: [0, 0, 1] }; // the view is reset
  assert.deepEqual(['sagittal', 'axial'].map(plane => turnOf(viewport as unknown as Viewport, plane) !== undefined), [true, false]);
});

test('a view is turned to what it showed before, and still knows its plane', () => {
  class View {
    viewportProperties: { orientation?: unknown } = { orientation: 'axial' };
    normal = 'axial';
    setViewReference(reference: unknown): void {
      if (this.normal !== reference) {
        this.normal = (this.viewportProperties.orientation ?? reference) as string; // as OHIF resets its camera
        this.setViewReference(reference);
      }
    }
  }
  const view = new View();
  assert.throws(() => { view.setViewReference('tilted'); }, RangeError);
  mendTurnedViews(View);
  view.setViewReference('tilted');
  assert.deepEqual([view.normal, view.viewportProperties.orientation], ['tilted', 'axial']);
});
