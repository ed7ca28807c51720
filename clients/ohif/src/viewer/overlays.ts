/** Which map of uncertainty is shown: it is fetched when it is first asked for, once for each case. */

import { readMap } from '../volumes/nifti.ts';
import { Overlay } from './overlay.ts';
import type { Query, Server } from '../server/server.ts';
import type { Phase, State } from '../session/state.ts';
import type { OhifViewer } from './viewer.ts';

export class Overlays {
  private image: string | undefined;
  private shown: Overlay | undefined;
  private opacity = 0;

  constructor(
    private readonly server: Pick<Server, 'uncertainty'>,
    private readonly viewer: Pick<OhifViewer, 'viewports'>,
    private readonly set: (change: Partial<State>) => void
  ) {}

  /** Show what belongs to a state. */
  follow({ phase, query, opacity }: State): void {
    const image = phase === 'drawing' && opacity > 0 && query !== null ? query.image : this.kept(phase, query);
    if (image !== this.image) {
      this.shown?.close();
      this.shown = undefined;
      this.image = image;
      if (image !== undefined) {
        void this.load(image);
      }
    } else if (opacity !== this.opacity) {
      this.shown?.setOpacity(opacity);
    }
    this.opacity = opacity;
  }

  /** The case whose map is there already, as long as it is open. */
  private kept(phase: Phase, query: Query | null): string | undefined {
    return phase === 'drawing' && query?.image === this.image ? this.image : undefined;
  }

  private async load(image: string): Promise<void> {
    this.set({ overlay: 'loading' });
    try {
      const map = await readMap(await this.server.uncertainty(image));
      const viewports = this.viewer.viewports(image);
      if (image === this.image && viewports !== undefined) {
        this.shown = new Overlay(map, viewports, this.opacity);
        this.set({ overlay: 'shown' });
      }
    } catch (error) {
      if (image === this.image) {
        const text = error instanceof Error ? error.message : String(error);
        // The slider goes back, so that the next move asks again.
        this.image = undefined;
        this.set({ overlay: 'none', opacity: 0, message: { kind: 'bad', text } });
      }
    }
  }
}
