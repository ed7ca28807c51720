/** The map of uncertainty over the image: a canvas over each view, drawn anew with each image. */

import { type Triple, applied, at, inverted } from '../volumes/grid.ts';
import type { Volume } from '../volumes/nifti.ts';
import type { Viewport } from './ohif.ts';

/** Pixels of the screen for one of the overlay, along each side. */
const COARSE = 2;
/** The share of the largest value below which nothing is shown. */
const SHOWN_FROM = 0.05;

/** A picture's place: the point of its first pixel in voxels of the map, and the steps to the next column and row. */
export interface Plane {
  first: Triple;
  right: Triple;
  down: Triple;
}

/** Colours from dark red over orange to light yellow, more opaque with the value. */
function heat(share: number): [number, number, number, number] {
  return [
    Math.min(255, 130 + 250 * share),
    Math.max(0, Math.min(255, 400 * share - 110)),
    Math.max(0, 500 * share - 320),
    Math.min(255, 90 + 400 * share),
  ];
}

/** The pixels (RGBA) of a map on a plane: the nearest voxel for each pixel, transparent outside and where it is small. */
export function pixelsOf(
  map: Volume<Float32Array>,
  largest: number,
  plane: Plane,
  width: number,
  height: number
): Uint8ClampedArray<ArrayBuffer> {
  const pixels = new Uint8ClampedArray(4 * width * height);
  const [columns, rows, slices] = map.grid.shape;
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const i = Math.round(plane.first[0] + x * plane.right[0] + y * plane.down[0]);
      const j = Math.round(plane.first[1] + x * plane.right[1] + y * plane.down[1]);
      const k = Math.round(plane.first[2] + x * plane.right[2] + y * plane.down[2]);
      if (i < 0 || j < 0 || k < 0 || i >= columns || j >= rows || k >= slices) {
        continue;
      }
      const share = at(map.values, i + columns * (j + rows * k)) / largest;
      if (share >= SHOWN_FROM) {
        pixels.set(heat(share), 4 * (x + width * y));
      }
    }
  }
  return pixels;
}

/** The plane of a viewport's canvas in voxels of a map; `step` is the distance of two pixels on the screen. */
export function planeOf(viewport: Pick<Viewport, 'canvasToWorld'>, map: Volume<Float32Array>, step: number): Plane {
  const back = inverted(map.grid.affine);
  const voxel = (x: number, y: number): Triple => {
    const [left, posterior, up] = viewport.canvasToWorld([x, y]);
    return applied(back, [-left, -posterior, up]);
  };
  const first = voxel(step / 2, step / 2);
  const from = (other: Triple): Triple => [other[0] - first[0], other[1] - first[1], other[2] - first[2]];
  return { first, right: from(voxel(1.5 * step, step / 2)), down: from(voxel(step / 2, 1.5 * step)) };
}

export class Overlay {
  private readonly largest: number;
  private readonly views: { viewport: Viewport; canvas: HTMLCanvasElement; draw: () => void }[];

  constructor(
    private readonly map: Volume<Float32Array>,
    viewports: Viewport[],
    opacity: number
  ) {
    this.largest = map.values.reduce((most, value) => Math.max(most, value), 0) || 1;
    this.views = viewports.map(viewport => this.over(viewport));
    this.setOpacity(opacity);
  }

  setOpacity(opacity: number): void {
    for (const { canvas, draw } of this.views) {
      canvas.style.opacity = String(opacity);
      canvas.hidden = opacity === 0;
      draw();
    }
  }

  close(): void {
    for (const { viewport, canvas, draw } of this.views) {
      viewport.element.removeEventListener(window.cornerstone.EVENTS.IMAGE_RENDERED, draw);
      canvas.remove();
    }
  }

  private over(viewport: Viewport) {
    const canvas = document.createElement('canvas');
    canvas.className = 'activelabel-uncertainty';
    viewport.element.append(canvas);
    let due = 0;
    const draw = (): void => {
      cancelAnimationFrame(due);
      due = requestAnimationFrame(() => {
        this.draw(viewport, canvas);
      });
    };
    viewport.element.addEventListener(window.cornerstone.EVENTS.IMAGE_RENDERED, draw);
    return { viewport, canvas, draw };
  }

  private draw(viewport: Viewport, canvas: HTMLCanvasElement): void {
    const width = Math.floor(viewport.element.clientWidth / COARSE);
    const height = Math.floor(viewport.element.clientHeight / COARSE);
    if (canvas.hidden || width === 0 || height === 0) {
      return;
    }
    canvas.width = width;
    canvas.height = height;
    const pixels = pixelsOf(this.map, this.largest, planeOf(viewport, this.map, COARSE), width, height);
    canvas.getContext('2d')?.putImageData(new ImageData(pixels, width, height), 0, 0);
  }
}
