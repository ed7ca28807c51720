/**
 * Runs after the host's configuration of OHIF, and adds an extension to it: a panel by which cases are asked for, drawn
 * and saved, in place of the one that OHIF's MONAI Label mode has; brushes; and an export of DICOM SEG that works.
 */

import type { Drawing } from './drawing.ts';
import { completeDownload, completeExport } from './frames.ts';
import { listenForKeys } from './keys.ts';
import { MODE_MODULE } from './mode.ts';
import type { ExtensionManager, Managers } from './ohif.ts';
import { Overlays } from './overlays.ts';
import { type Actions, Panel } from './panel.ts';
import css from './panel.css';
import { listenForProgress } from './progress.ts';
import { Server } from './server.ts';
import { Session } from './session.ts';
import { BUTTONS } from './toolbar.ts';
import { Tools } from './tools.ts';
import { MODE, OhifViewer } from './viewer.ts';

const TICK_MS = 3000;
const NAME = 'activelabel';
const PANEL = `${NAME}.panelModule.${NAME}`;
const SEGMENTATIONS = '@ohif/extension-cornerstone.panelModule.panelSegmentationWithTools';

let extensions: ExtensionManager;
let session: Session<Drawing> | undefined;
let panel: Panel | undefined;

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
  const server = new Server(location.origin);
  const tools = new Tools(commandsManager);
  tools.follow();
  const viewer = new OhifViewer(services, commandsManager, tools);
  const overlays = new Overlays(server, viewer, change => { begun.set(change); });
  const begun = new Session<Drawing>(server, viewer, state => {
    shown.show(state);
    overlays.follow(state);
  });
  const actions: Actions = {
    next: () => void begun.next(),
    saveAndNext: () => void begun.saveAndNext(),
    skip: (kind, reason) => void begun.skip(kind, reason),
    undo: () => { begun.undo(); },
    redo: () => { begun.redo(); },
    step: by => { begun.step(by); },
    choose: structure => {
      if (structure <= begun.state.labels.length) {
        begun.drawing?.choose(structure);
      }
    },
    setOpacity: opacity => { begun.set({ opacity }); },
  };
  const shown = new Panel(actions);
  panel = shown;
  shown.show(begun.state);
  listenForKeys(actions);
  ['pointerdown', 'pointermove', 'keydown', 'wheel'].forEach(kind => {
    window.addEventListener(kind, () => { begun.noteInput(); }, { capture: true, passive: true });
  });
  window.addEventListener('beforeunload', event => {
    if (begun.state.changed) {
      event.preventDefault();
    }
  });
  listenForProgress(location.origin, progress => { begun.set({ progress }); });
  setInterval(() => void begun.tick(), TICK_MS);
  return begun;
}

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
