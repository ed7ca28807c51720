/**
 * Runs after the host's configuration of OHIF, and adds an extension to it: a panel by which cases are asked for, drawn
 * and saved, in place of the one that OHIF's MONAI Label mode has; brushes; and an export of DICOM SEG that works.
 */

import type { Drawing } from './drawing/drawing.ts';
import { completeDownload, completeExport } from './viewer/frames.ts';
import { listenForKeys } from './panel/keys.ts';
import { Journal } from './session/journal.ts';
import { Marks } from './session/marks.ts';
import { MODE_MODULE } from './viewer/mode.ts';
import type { ExtensionManager, Managers } from './viewer/ohif.ts';
import { Overlays } from './viewer/overlays.ts';
import { cookieOf, nameIn } from './server/name.ts';
import { withoutSeriesNotice } from './viewer/notices.ts';
import { mendTurnedViews } from './viewer/own_plane.ts';
import { type Actions, Panel } from './panel/panel.ts';
import css from './panel/panel.css';
import { OlderPart } from './panel/panel_older.ts';
import { CurvePart } from './panel/panel_curve.ts';
import { Folded } from './panel/panel_folded.ts';
import { ReaderPart } from './panel/panel_reader.ts';
import { ReviewPart, TakePart } from './panel/panel_review.ts';
import { listenForProgress } from './server/progress.ts';
import { Reviews } from './session/reviews.ts';
import { Server } from './server/server.ts';
import { Session } from './session/session.ts';
import { openPages } from './session/pages.ts';
import { BrowserShelf } from './session/shelf.ts';
import { Slices } from './session/slices.ts';
import { BUTTONS } from './viewer/toolbar.ts';
import { Tools } from './viewer/tools.ts';
import { Veil } from './panel/veil.ts';
import { MODE, OhifViewer } from './viewer/viewer.ts';
import { WorklistPart } from './panel/worklist.ts';

const TICK_MS = 3000;
const DAY_MS = 24 * 3600 * 1000;
const NAME = 'activelabel';
const PANEL = `${NAME}.panelModule.${NAME}`;
const SEGMENTATIONS = '@ohif/extension-cornerstone.panelModule.panelSegmentationWithTools';

let extensions: ExtensionManager;
let session: Session<Drawing> | undefined;
let panel: Panel | undefined;
const shelf = new BrowserShelf();

/** The panel as React takes it: an empty element, which the panel's own is put into. */
const component = () => ({
  $$typeof: Symbol.for('react.element'),
  type: 'div',
  key: null,
  ref: mount,
  props: { className: 'activelabel-panel' },
  _owner: null,
});

function mount(node: HTMLElement | null): void {
  if (node !== null && panel !== undefined) {
    node.append(panel.element);
  }
}

function begin({ servicesManager: { services }, commandsManager }: Managers): Session<Drawing> {
  mendTurnedViews(window.cornerstone.VolumeViewport);
  withoutSeriesNotice(services.uiNotificationService);
  const server = new Server(location.origin, undefined, () => nameIn(document.cookie));
  const tools = new Tools(commandsManager);
  tools.follow();
  const viewer = new OhifViewer(services, commandsManager, tools);
  const overlays = new Overlays(server, viewer, change => { begun.set(change); });
  const begun = new Session<Drawing>(server, viewer, state => {
    shown.show(state);
    veil.show(state, begun.drawing !== undefined);
    overlays.follow(state);
  }, new Marks(sessionStorage), new Journal(shelf, openPages(), text => {
    begun.set({ message: { kind: 'bad', text } });
  }));
  const slices = new Slices(begun, viewer);
  const actions: Actions = {
    next: () => void begun.next(),
    saveAndNext: () => void begun.saveAndNext(),
    skip: (kind, reason) => void begun.skip(kind, reason),
    undo: () => { begun.retrace('undo'); },
    redo: () => { begun.retrace('redo'); },
    step: by => { slices.step(by); },
    mark: () => { slices.mark(); },
    choose: structure => {
      if (structure <= begun.state.labels.length) {
        begun.drawing?.choose(structure);
      }
    },
    setOpacity: opacity => { begun.set({ opacity }); },
  };
  const veil = new Veil();
  const reviews = new Reviews(server, begun, viewer);
  const worklist = new WorklistPart(server, row => void reviews.lookAt(row), error => {
    begun.set({ message: { kind: 'bad', text: error instanceof Error ? error.message : String(error) } });
  });
  const shown = new Panel(actions, {
    reader: new ReaderPart(name => {
      document.cookie = cookieOf(name);
      void begun.enter();
    }),
    older: new OlderPart(() => { begun.older.take(); }, () => { begun.older.drop(); }),
    review: new ReviewPart({
      approve: note => void reviews.approve(note),
      merge: note => void reviews.merge(note),
      returnLabel: note => void reviews.returnLabel(note),
      show: reading => void reviews.show(reading),
      release: () => void reviews.release(),
    }),
    take: new TakePart(() => void reviews.take()),
    folded: new Folded([worklist, new CurvePart()]),
  });
  panel = shown;
  shown.show(begun.state);
  listenForKeys(actions);
  ['pointerdown', 'pointermove', 'keydown', 'wheel'].forEach(kind => {
    window.addEventListener(kind, () => { begun.noteInput(); }, { capture: true, passive: true });
  });
  window.addEventListener('beforeunload', event => {
    if (begun.state.changed || begun.state.waits) {
      event.preventDefault();
    }
  });
  listenForProgress(location.origin, progress => { begun.set({ progress }); }, () => { worklist.refresh(); });
  setInterval(() => void begun.tick(), TICK_MS);
  return begun;
}

/** Also in pages in which no case is opened: whoever has left strokes may not come back to this computer. */
function purge(): void {
  shelf.purge().catch((error: unknown) => { console.warn('strokes of more than a week ago are not removed:', error); });
}

purge();
setInterval(purge, DAY_MS);
window.config.modes.push(MODE_MODULE);
window.config.extensions.push({
  id: NAME,

  preRegistration(managers: { extensionManager: ExtensionManager }) {
    extensions = managers.extensionManager;
    const style = document.createElement('style');
    style.textContent = css;
    document.head.append(style);
  },

  getPanelModule: () => [
    { name: NAME, iconName: 'tab-segmentation', iconLabel: 'Cases', label: 'Active learning', component },
  ],

  onModeEnter({ servicesManager, commandsManager }: Managers) {
    const { services } = servicesManager;
    completeDownload(commandsManager, services.segmentationService);
    completeExport(commandsManager, extensions, services.segmentationService, (type, message) => {
      const duration = type === 'error' ? 20000 : 4000;
      services.uiNotificationService.show({ title: 'Export DICOM SEG', message, type, duration });
    });
    if (location.pathname.endsWith(MODE)) {
      services.toolbarService.addButtons(BUTTONS);
      session ??= begin({ servicesManager, commandsManager, extensionManager: extensions });
      const { Left, Right } = services.panelService.PanelPosition;
      const left = services.panelService.getPanels(Left).map(({ id }) => id);
      services.panelService.setPanels({ [Left]: left, [Right]: [[PANEL, SEGMENTATIONS]] });
      void session.enter();
    }
  },

  onModeExit() {
    void session?.leave();
  },
});
