/** Brushes and shapes, which OHIF's MONAI Label mode shows by name and does not define. */

type Tools = Record<string, string>;

/** The tool that the first case opens with, and the radius of its brush. */
export const FIRST_TOOL = 'CircularBrush';
export const FIRST_RADIUS_MM = 10;

const shapes = (id: string, tools: Tools) => ({
  id,
  name: 'Shape',
  type: 'radio',
  value: Object.keys(tools)[0],
  values: Object.entries(tools).map(([value, label]) => ({ value, label })),
  commands: 'setToolActiveToolbar',
});

const radius = (id: string, tools: Tools) => ({
  id,
  name: 'Radius (mm)',
  type: 'range',
  min: 0.5,
  max: 99.5,
  step: 0.5,
  value: FIRST_RADIUS_MM,
  commands: { commandName: 'setBrushSize', commandOptions: { toolNames: Object.keys(tools) } },
});

const evaluate = (tools: Tools) => ({
  name: 'evaluate.cornerstone.segmentation',
  toolNames: Object.keys(tools),
  disabledText: 'Ask for a case first',
});

const brush = (id: string, icon: string, label: string, tools: Tools, more: object[] = []) => ({
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

export const BUTTONS = [
  {
    id: 'BrushTools',
    uiType: 'ohif.buttonGroup',
    props: {
      groupId: 'BrushTools',
      items: [
        brush('Brush', 'icon-tool-brush', 'Brush', { [FIRST_TOOL]: 'Circle', SphereBrush: 'Sphere' }),
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
