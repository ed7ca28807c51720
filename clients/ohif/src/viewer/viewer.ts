/** The viewer as a session needs it, and how OHIF's services do it. */

import { type Drawn, Drawing, drawnViewport, viewportsOf } from '../drawing/drawing.ts';
import type { Triple } from '../volumes/grid.ts';
import type { Volume } from '../volumes/nifti.ts';
import type { CommandsManager, Services, Viewport } from './ohif.ts';
import { turnOf, turnToSlices } from './own_plane.ts';
import type { Sample, Walk } from '../server/server.ts';
import type { Tools } from './tools.ts';
import { until } from './waiting.ts';

export const MODE = '/monai-label';

/** What is done once the viewer shows a study. */
export type Opening = (sample: Sample, givenUp: () => boolean) => Promise<void>;

/** What the session needs of the viewer. */
export interface Viewer<D extends Drawn = Drawn> {
  /** The series that is shown, as soon as one is. */
  shown(givenUp: () => boolean): Promise<string>;
  /** Show a series, without loading the page anew. */
  show(sample: Sample): void;
  /** Open a drawing on a series, once it is shown. */
  open(
    series: string,
    labels: readonly string[],
    mask: Volume<Uint8Array> | undefined,
    onStroke: () => void,
    givenUp: () => boolean
  ): Promise<D>;
  /** Show the slice of this place. */
  jump(walk: Walk, place: number): void;
  /** Show a point, in millimetres as files have it, in all views of a series. */
  lookAt(series: string, point: Triple): void;
  /** The place of the slice that is shown; nothing if another slice is. */
  shownPlace(walk: Walk): number | undefined;
}

export class OhifViewer implements Viewer<Drawing> {
  constructor(
    private readonly services: Services,
    private readonly commands: CommandsManager,
    private readonly tools: Tools
  ) {}

  shown(givenUp: () => boolean): Promise<string> {
    const { viewportGridService, displaySetService } = this.services;
    const look = (): string | undefined => {
      const [first] = viewportGridService.getState().viewports.values();
      const uid = first?.displaySetInstanceUIDs[0];
      return uid === undefined ? undefined : displaySetService.getDisplaySetByUID(uid)?.SeriesInstanceUID;
    };
    return until(look, 'an image', givenUp);
  }

  show({ StudyInstanceUID, SeriesInstanceUID }: Sample): void {
    this.tools.note();
    const search = new URLSearchParams({ StudyInstanceUIDs: StudyInstanceUID, SeriesInstanceUIDs: SeriesInstanceUID });
    this.commands.run('navigateHistory', { to: `${MODE}?${search.toString()}` });
  }

  async open(
    series: string,
    labels: readonly string[],
    mask: Volume<Uint8Array> | undefined,
    onStroke: () => void,
    givenUp: () => boolean
  ): Promise<Drawing> {
    await until(() => this.viewports(series), 'the image of the case', givenUp);
    const drawing = await Drawing.open(this.services, series, labels, mask, onStroke);
    this.tools.use();
    return drawing;
  }

  /** The viewports of a series; nothing before all of them show it. */
  viewports(series: string): Viewport[] | undefined {
    const listed = viewportsOf(this.services, series);
    const drawn = listed.map(({ viewportId }) => drawnViewport(this.services, viewportId));
    return listed.length > 0 && drawn.every(viewport => viewport !== undefined) ? drawn : undefined;
  }

  shownPlace(walk: Walk): number | undefined {
    const viewport = this.ofPlane(walk);
    // OHIF's *Reset view* turns back to the patient's plane, whose numbers are not those of tilted slices.
    if (viewport === undefined || turnOf(viewport, walk.plane ?? '') !== undefined) {
      return undefined;
    }
    const shown = viewport.getSliceIndex();
    const place = walk.slices.findIndex(({ ohif_number }) => ohif_number - 1 === shown);
    return place < 0 ? undefined : place;
  }

  private ofPlane(walk: Walk): Viewport | undefined {
    const id = this.idOfPlane(walk);
    return id === undefined ? undefined : drawnViewport(this.services, id);
  }

  private idOfPlane({ image, plane }: Walk): string | undefined {
    return viewportsOf(this.services, image).find(({ viewportOptions }) => viewportOptions.orientation === plane)?.viewportId;
  }

  /** The first stroke in another view than the active one is lost: it only makes that view the active one. */
  private activate(walk: Walk): void {
    const id = this.idOfPlane(walk);
    if (id !== undefined && this.services.viewportGridService.getState().activeViewportId !== id) {
      this.services.viewportGridService.setActiveViewportId(id);
    }
  }

  jump(walk: Walk, place: number): void {
    const slice = walk.slices[place];
    const viewport = this.ofPlane(walk);
    if (slice !== undefined && viewport !== undefined) {
      turnToSlices(viewport, walk.plane ?? '');
      this.activate(walk);
      void window.cornerstone.utilities.jumpToSlice(viewport.element, { imageIndex: slice.ohif_number - 1 });
    }
  }

  lookAt(series: string, [right, front, up]: Triple): void {
    this.viewports(series)?.forEach(viewport => {
      viewport.jumpToWorld([-right, -front, up]);
      viewport.render();
    });
  }
}
