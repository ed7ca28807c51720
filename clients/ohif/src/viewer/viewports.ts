/** OHIF's views of a series. */

import type { GridViewport, Services, Viewport } from './ohif.ts';

/** The viewports that show a series. */
export function viewportsOf(services: Services, series: string): GridViewport[] {
  const { viewportGridService, displaySetService } = services;
  return [...viewportGridService.getState().viewports.values()].filter(({ displaySetInstanceUIDs }) =>
    displaySetInstanceUIDs.some(uid => displaySetService.getDisplaySetByUID(uid)?.SeriesInstanceUID === series)
  );
}

/** The drawn side of a viewport; nothing before it shows an image. */
export function drawnViewport(services: Services, id: string): Viewport | undefined {
  const viewport = services.cornerstoneViewportService.getCornerstoneViewport(id);
  return viewport?.getImageData()?.dimensions ? viewport : undefined;
}
