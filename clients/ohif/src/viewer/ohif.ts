/** What is used of OHIF 3.10 and of cornerstone, which put their objects into the page's window. */

import type { Colour } from '../drawing/colours.ts';
import type { Triple, ViewerVolume } from '../volumes/grid.ts';

export interface Instance {
  StudyInstanceUID: string;
  SeriesInstanceUID: string;
}

export interface DisplaySet extends Instance {
  displaySetInstanceUID: string;
}

export interface GridViewport {
  viewportId: string;
  displaySetInstanceUIDs: string[];
  viewportOptions: { orientation?: string };
}

export interface Camera {
  viewPlaneNormal: Triple;
  viewUp: Triple;
}

export interface Viewport {
  element: HTMLDivElement;
  getImageData(): { dimensions: number[]; direction: ArrayLike<number> } | null | undefined;
  getCamera(): Camera;
  setCamera(camera: Camera): void;
  getNumberOfSlices(): number;
  getSliceIndex(): number;
  jumpToWorld(point: Triple): unknown;
  canvasToWorld(point: [number, number]): [number, number, number];
  render(): void;
}

export interface Segment {
  label: string;
  segmentIndex: number;
}

export interface Segmentation {
  segments: Record<string, Segment | undefined>;
  representationData: { Labelmap: { imageIds: string[] } };
}

export interface LabelmapVolume extends ViewerVolume {
  imageIds: string[];
}

export interface LabelImage {
  referencedImageId: string;
  voxelManager: { getScalarData(): Uint8Array };
}

export interface SegmentationService {
  getSegmentation(id: string): Segmentation | undefined;
  getLabelmapVolume(id: string): LabelmapVolume | null | undefined;
  createLabelmapForDisplaySet(displaySet: DisplaySet, options: object): Promise<string>;
  addSegmentationRepresentation(viewportId: string, options: { segmentationId: string }): Promise<void>;
  getSegmentationRepresentations(viewportId: string, specifier: object): unknown[];
  setSegmentColor(viewportId: string, id: string, segment: number, colour: Colour): void;
  setActiveSegmentation(viewportId: string, id: string): void;
  setActiveSegment(id: string, segment: number): void;
  remove(id: string): void;
}

export type PanelPosition = string;

export interface Services {
  segmentationService: SegmentationService;
  displaySetService: { getDisplaySetByUID(uid: string): DisplaySet | undefined };
  viewportGridService: {
    getState(): { viewports: Map<string, GridViewport>; activeViewportId: string };
    setActiveViewportId(id: string): void;
  };
  cornerstoneViewportService: { getCornerstoneViewport(id: string): Viewport | null | undefined };
  panelService: {
    PanelPosition: { Left: PanelPosition; Right: PanelPosition };
    getPanels(position: PanelPosition): { id: string }[];
    setPanels(panels: Record<PanelPosition, unknown[]>): void;
  };
  toolbarService: { addButtons(buttons: unknown[]): void };
  uiNotificationService: { show(notice: object): unknown };
}

export interface Command {
  commandFn: (options: Record<string, unknown>) => unknown;
  completed?: boolean;
}

export interface CommandsManager {
  getCommand(name: string, context?: string): Command | undefined;
  registerCommand(context: string, name: string, command: Command): void;
  run(name: string, options?: object): unknown;
}

export interface ExtensionManager {
  getActiveDataSource(): unknown[];
}

export interface Managers {
  servicesManager: { services: Services };
  commandsManager: CommandsManager;
  extensionManager: ExtensionManager;
}

export interface SegmentationEvent extends Event {
  detail: { segmentationId: string; modifiedSlicesToUse?: number[] };
}

/** What is used of the class of all views of volumes. */
export interface ViewsOfVolumes {
  prototype: VolumeView;
}

export interface VolumeView {
  viewportProperties: { orientation?: unknown };
  setViewReference(reference: unknown): void;
}

interface Cornerstone {
  VolumeViewport: ViewsOfVolumes;
  EVENTS: { IMAGE_RENDERED: string };
  cache: { getImage(imageId: string): LabelImage | undefined };
  eventTarget: EventTarget;
  metaData: { get(kind: string, imageId: string): unknown };
  utilities: { jumpToSlice(element: HTMLDivElement, options: { imageIndex: number }): Promise<void> };
}

interface CornerstoneTools {
  ToolGroupManager: {
    getToolGroup(id: string): { getActivePrimaryMouseButtonTool(): string | undefined } | undefined;
  };
  Enums: { Events: { SEGMENTATION_DATA_MODIFIED: string } };
  segmentation: {
    triggerSegmentationEvents: {
      triggerSegmentationDataModified(segmentationId: string, modifiedSlices?: number[]): void;
    };
  };
}

export interface OhifConfiguration {
  extensions: unknown[];
  modes: unknown[];
}

declare global {
  interface Window {
    config: OhifConfiguration;
    cornerstone: Cornerstone;
    cornerstoneTools: CornerstoneTools;
  }
}
