/*
 * Runs after the host's configuration of OHIF and completes its MONAI Label mode, so that users can draw and send a
 * label. As shipped, the mode has no brush, "Export DICOM SEG" names no destination, the panel uses port 8000 only and
 * does not show why the server refuses a request.
 */
(() => {
  const MODE = '/monai-label';
  const PANEL = '@ohif/extension-cornerstone.panelModule.panelSegmentationWithTools';

  document.cookie = `MONAILABEL_SERVER_URL=${escape(`${location.origin}/`)}; path=/ohif`;

  // The two panels share one side, one below the other: a panel loses its state when another replaces it.
  const style = document.createElement('style');
  style.textContent =
    'div.monaiLabelPanel { height: auto; flex: none; } :has(> div.monaiLabelPanel) { overflow: hidden auto; }';
  document.head.append(style);

  const shapes = (id, tools) => ({
    id,
    name: 'Shape',
    type: 'radio',
    value: Object.keys(tools)[0],
    values: Object.entries(tools).map(([value, label]) => ({ value, label })),
    commands: 'setToolActiveToolbar',
  });

  const radius = (id, tools) => ({
    id,
    name: 'Radius (mm)',
    type: 'range',
    min: 0.5,
    max: 99.5,
    step: 0.5,
    value: 10,
    commands: { commandName: 'setBrushSize', commandOptions: { toolNames: Object.keys(tools) } },
  });

  const evaluate = tools => ({
    name: 'evaluate.cornerstone.segmentation',
    toolNames: Object.keys(tools),
    disabledText: 'Connect to the server first',
  });

  const brush = (id, icon, label, tools, more = []) => ({
    id,
    icon,
    label,
    evaluate: evaluate(tools),
    options: [radius(`${id}-radius`, tools), shapes(`${id}-shape`, tools), ...more],
  });

  const thresholdTools = { ThresholdCircularBrush: 'Circle', ThresholdSphereBrush: 'Sphere' };
  const thresholdRange = {
    id: 'Threshold-range',
    name: 'Range',
    type: 'double-range',
    min: -1000,
    max: 1000,
    step: 1,
    value: [0, 300],
    commands: { commandName: 'setThresholdRange', commandOptions: { toolNames: Object.keys(thresholdTools) } },
  };
  const scissors = { CircleScissor: 'Circle', SphereScissor: 'Sphere', RectangleScissor: 'Rectangle' };

  // The mode shows buttons with these two names, which only another mode defines.
  const buttons = [
    {
      id: 'BrushTools',
      uiType: 'ohif.buttonGroup',
      props: {
        groupId: 'BrushTools',
        items: [
          brush('Brush', 'icon-tool-brush', 'Brush', { CircularBrush: 'Circle', SphereBrush: 'Sphere' }),
          brush('Eraser', 'icon-tool-eraser', 'Eraser', { CircularEraser: 'Circle', SphereEraser: 'Sphere' }),
          brush('Threshold', 'icon-tool-threshold', 'Threshold', thresholdTools, [thresholdRange]),
        ],
      },
    },
    {
      id: 'Shapes',
      uiType: 'ohif.radioGroup',
      props: {
        label: 'Shapes',
        icon: 'icon-tool-shape',
        evaluate: evaluate(scissors),
        options: [shapes('shape-mode', scissors)],
      },
    },
  ];

  // The server's one line, if the answer has one.
  const reasonOf = error => {
    try {
      return JSON.parse(error.response).detail;
    } catch {
      return error.message;
    }
  };

  // OHIF writes the slices of a SEG in the order in which it lists them, and assumes that the last slice along the
  // normal comes first. In a series with the opposite order, each drawing is stored on the mirrored slice: that of the
  // fourth slice on the last but three. The slices are therefore listed in the assumed order during the export.
  const inOrderOfFrames = async (segmentation, make) => {
    const { cache, metaData } = window.cornerstone;
    const labelmap = segmentation.representationData.Labelmap;
    const shipped = labelmap.imageIds;
    const along = imageId => {
      const plane = metaData.get('imagePlaneModule', cache.getImage(imageId).referencedImageId);
      const [a, b, c] = plane.rowCosines;
      const [d, e, f] = plane.columnCosines;
      const [x, y, z] = plane.imagePositionPatient;
      return x * (b * f - c * e) + y * (c * d - a * f) + z * (a * e - b * d);
    };
    const places = new Map(shipped.map(imageId => [imageId, along(imageId)]));
    labelmap.imageIds = [...shipped].sort((one, other) => places.get(other) - places.get(one));
    try {
      return await make();
    } finally {
      labelmap.imageIds = shipped;
    }
  };

  const completeDownload = (commandsManager, segmentations) => {
    const shipped = commandsManager.getCommand('downloadSegmentation', 'SEGMENTATION');
    if (shipped && !shipped.completed) {
      commandsManager.registerCommand('SEGMENTATION', 'downloadSegmentation', {
        ...shipped,
        completed: true,
        commandFn: options =>
          inOrderOfFrames(segmentations.getSegmentation(options.segmentationId), () => shipped.commandFn(options)),
      });
    }
  };

  // The menu's "Export DICOM SEG" names no data source, so that the command fails, and it shows no result.
  const completeExport = (commandsManager, extensionManager, segmentations, tell) => {
    const shipped = commandsManager.getCommand('storeSegmentation', 'SEGMENTATION');
    if (!shipped || shipped.completed) {
      return;
    }
    commandsManager.registerCommand('SEGMENTATION', 'storeSegmentation', {
      ...shipped,
      completed: true,
      commandFn: async options => {
        const dataSource = extensionManager.getActiveDataSource()[0];
        try {
          const segmentation = segmentations.getSegmentation(options.segmentationId);
          const seg = await inOrderOfFrames(segmentation, () => shipped.commandFn({ dataSource, ...options }));
          if (seg) {
            tell('success', 'The segmentation is stored, and a label now.');
          }
          return seg;
        } catch (error) {
          tell('error', reasonOf(error));
        }
      },
    });
  };

  // The reason of the server's latest refusal. The panel only says that something failed, and drops the reason.
  const REASON_MS = 5000;
  let refused = null;

  const lineOf = request => {
    try {
      const { responseType, response } = request;
      if (responseType === 'json') {
        return response.detail;
      }
      return JSON.parse(responseType === 'arraybuffer' ? new TextDecoder().decode(response) : request.responseText).detail;
    } catch {
      return `the server answered ${request.status}`;
    }
  };

  // The panel's client reacts to the final state of a request, before any `load` event, so this function listens to
  // state changes too, from the start of the request.
  const listenForRefusals = () => {
    const shipped = XMLHttpRequest.prototype.open;
    XMLHttpRequest.prototype.open = function (...how) {
      this.addEventListener('readystatechange', () => {
        if (this.readyState !== XMLHttpRequest.DONE) {
          return;
        }
        if (this.status === 0) {
          refused = { line: 'the server does not answer: does it run?', at: performance.now() };
        } else if (this.status >= 400 && this.responseURL.startsWith(location.origin)) {
          refused = { line: lineOf(this), at: performance.now() };
        }
      });
      return shipped.apply(this, how);
    };
  };

  const tellReasons = notifications => {
    if (notifications.tellsReasons) {
      return;
    }
    const shipped = notifications.show;
    notifications.show = function (notice) {
      const recent = refused && performance.now() - refused.at < REASON_MS;
      if (recent && notice.type === 'error' && String(notice.title).startsWith('MONAI Label')) {
        notice = { ...notice, message: `${notice.message}: ${refused.line}`, duration: 20000 };
        refused = null;
      }
      return shipped.call(this, notice);
    };
    notifications.tellsReasons = true;
  };

  // An annotator who draws sends no requests, and a login ends after a time without requests. Mouse or key events
  // therefore send a request, at most every two minutes, which also tells annotators that their login has ended before
  // they save.
  const PRESENT_MS = 2 * 60 * 1000;
  let present = performance.now();

  const listenForReader = tell => {
    const say = async () => {
      if (performance.now() - present < PRESENT_MS) {
        return;
      }
      present = performance.now();
      const answer = await fetch(`${location.origin}/auth/token/valid`, { headers: { Accept: 'application/json' } });
      if (answer.status === 401) {
        tell((await answer.json()).detail);
      }
    };
    ['pointerdown', 'keydown', 'wheel'].forEach(kind =>
      window.addEventListener(kind, () => say().catch(() => undefined), { capture: true, passive: true })
    );
  };

  let extensionManager;
  let listens = false;
  window.config.extensions.push({
    id: 'activelabel',

    preRegistration(managers) {
      ({ extensionManager } = managers);
      listenForRefusals();
    },

    onModeEnter({ servicesManager, commandsManager }) {
      const { uiNotificationService } = servicesManager.services;
      // The tabs of the panel create their own notification services, so the prototype is changed, not this instance.
      tellReasons(Object.getPrototypeOf(uiNotificationService));
      const { segmentationService } = servicesManager.services;
      completeDownload(commandsManager, segmentationService);
      if (!listens) {
        listens = true;
        listenForReader(message =>
          uiNotificationService.show({ title: 'Login', message, type: 'error', duration: 20000 })
        );
      }
      completeExport(commandsManager, extensionManager, segmentationService, (type, message) =>
        uiNotificationService.show({ title: 'Export DICOM SEG', message, type, duration: type === 'error' ? 20000 : 4000 })
      );
      if (location.pathname.endsWith(MODE)) {
        const { panelService, toolbarService } = servicesManager.services;
        toolbarService.addButtons(buttons);
        const { Left, Right } = panelService.PanelPosition;
        const shown = position => panelService.getPanels(position).map(({ id }) => id);
        panelService.setPanels({ [Left]: shown(Left), [Right]: [[...shown(Right), PANEL]] });
      }
    },
  });
})();
