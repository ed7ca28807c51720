/**
 * Slices of an oblique series are tilted against the patient's planes, which the views show, so no view shows any of them
 * as a whole, and the views number planes that are not slices. The view of a plane is turned to the slices for that.
 */

import type { Triple } from '../volumes/grid.ts';
import type { Camera, Viewport, ViewsOfVolumes, VolumeView } from './ohif.ts';

/** How OHIF looks at a plane of the patient, in DICOM's axes (left, posterior, up). */
const LOOKS: Record<string, Camera | undefined> = {
  axial: { viewPlaneNormal: [0, 0, -1], viewUp: [0, -1, 0] },
  sagittal: { viewPlaneNormal: [1, 0, 0], viewUp: [0, 0, 1] },
  coronal: { viewPlaneNormal: [0, -1, 0], viewUp: [0, 0, 1] },
};
/** Directions are rounded in DICOM files. */
const SAME = 1e-6;

const dot = (one: Triple, other: Triple): number => one[0] * other[0] + one[1] * other[1] + one[2] * other[2];

/** Of these directions, taken forwards or backwards, the one that is nearest to another. */
function nearest(axes: Triple[], wanted: Triple): Triple {
  const [best] = [...axes].sort((one, other) => Math.abs(dot(other, wanted)) - Math.abs(dot(one, wanted)));
  return along(best ?? wanted, wanted);
}

/** A direction, taken forwards or backwards, whichever is nearer to another. */
function along(axis: Triple, wanted: Triple): Triple {
  return dot(axis, wanted) < 0 ? [-axis[0], -axis[1], -axis[2]] : axis;
}

/**
 * For each of the patient's axes, the axis of the image that stands for it. No two have the same one, and those that are
 * nearest choose first: so does the server (nibabel's `io_orientation`), which says what the numbers of slices are of.
 */
function assigned(axes: Triple[]): (Triple | undefined)[] {
  const nearness = (axis: Triple): number => Math.max(...axis.map(Math.abs));
  const found: (Triple | undefined)[] = [undefined, undefined, undefined];
  for (const axis of [...axes].sort((one, other) => nearness(other) - nearness(one))) {
    const [best] = [0, 1, 2]
      .filter(place => found[place] === undefined)
      .sort((one, other) => Math.abs(axis[other] ?? 0) - Math.abs(axis[one] ?? 0));
    found[best ?? 0] = axis;
  }
  return found;
}

/** How to look at the slices of an image that are nearest to a plane; nothing if they lie in it. `direction` has the image's axes. */
export function ownPlane(plane: string, direction: ArrayLike<number>): Camera | undefined {
  const look = LOOKS[plane];
  if (look === undefined) {
    return undefined;
  }
  const axes = [0, 3, 6].map((from): Triple => [direction[from] ?? 0, direction[from + 1] ?? 0, direction[from + 2] ?? 0]);
  const normal = assigned(axes)[look.viewPlaneNormal.findIndex(part => part !== 0)] ?? look.viewPlaneNormal;
  const viewPlaneNormal = along(normal, look.viewPlaneNormal);
  if (dot(viewPlaneNormal, look.viewPlaneNormal) > 1 - SAME) {
    return undefined;
  }
  return { viewPlaneNormal, viewUp: nearest(axes.filter(axis => axis !== normal), look.viewUp) };
}

/** How the view of a plane has to be turned to show the slices of its image; nothing if it shows them. */
export function turnOf(viewport: Viewport, plane: string): Camera | undefined {
  const direction = viewport.getImageData()?.direction;
  const camera = direction === undefined ? undefined : ownPlane(plane, direction);
  if (camera === undefined) {
    return undefined;
  }
  const [shown, wanted] = [viewport.getCamera().viewPlaneNormal, camera.viewPlaneNormal];
  // Rounded directions are not quite of length one.
  return dot(shown, wanted) < (1 - SAME) * Math.hypot(...shown) * Math.hypot(...wanted) ? camera : undefined;
}

/** Turn the view of a plane to the slices of its image, if they are tilted and it does not show them yet. */
export function turnToSlices(viewport: Viewport, plane: string): void {
  const camera = turnOf(viewport, plane);
  if (camera !== undefined) {
    viewport.setCamera(camera);
    viewport.render();
  }
}

/**
 * Let OHIF show a view again as it was turned. As shipped, a view that is known as that of a plane turns itself back to that
 * plane each time it is turned to what it showed before, and tries again without an end. The plane is therefore forgotten
 * meanwhile; afterwards *Reset view* goes back to it as before.
 */
export function mendTurnedViews({ prototype }: ViewsOfVolumes): void {
  // eslint-disable-next-line @typescript-eslint/unbound-method -- it is called on the view that it was called on
  const shipped = prototype.setViewReference;
  prototype.setViewReference = function (this: VolumeView, reference: unknown): void {
    const { orientation } = this.viewportProperties;
    this.viewportProperties.orientation = undefined;
    try {
      shipped.call(this, reference);
    } finally {
      this.viewportProperties.orientation = orientation;
    }
  };
}
