/** The learning curve as a small drawing: the Dice of each model over the effort of its labels, and the forecast. */

/** What is read of the server's answer about the progress. */
export interface CurvePoint {
  model_version: number;
  in_use: boolean;
  volumes: number;
  slices: number;
  dice: number | null;
  dice_low: number | null;
  dice_high: number | null;
}

export interface Forecast {
  at: number;
  expected: number | null;
  low: number | null;
  high: number | null;
  sentence: string;
}

export interface LearningCurve {
  unit: string;
  learning_curve: CurvePoint[];
  forecast: Forecast | null;
}

const WIDTH = 260;
const HEIGHT = 110;
const LEFT = 30;
const RIGHT = 10;
const TOP = 8;
const BOTTOM = 20;

interface Mark {
  x: number;
  y: number;
  low: number;
  high: number;
}

/** A curve in places of its drawing: models in their order, and the forecast after them. */
export interface Plot {
  models: (Mark & { inUse: boolean; title: string })[];
  forecast: Mark | undefined;
  lowest: number;
  last: number;
}

/** The effort of a model, in the unit of the project; as the server counts it. */
function effortOf(point: CurvePoint, unit: string): number {
  return unit === 'slices' ? point.slices : point.volumes;
}

/** Where everything lies; nothing while no model was judged. */
export function plotOf({ unit, learning_curve, forecast }: LearningCurve): Plot | undefined {
  const judged = learning_curve.filter(({ dice }) => dice !== null);
  if (judged.length === 0) {
    return undefined;
  }
  const expected = forecast !== null && forecast.expected !== null ? { ...forecast, expected: forecast.expected } : undefined;
  const values = [
    ...judged.flatMap(({ dice, dice_low }) => [dice ?? 0, dice_low ?? dice ?? 0]),
    ...(expected === undefined ? [] : [expected.low ?? expected.expected]),
  ];
  const lowest = Math.max(0, Math.floor(10 * Math.min(...values)) / 10);
  const last = Math.max(1, ...judged.map(point => effortOf(point, unit)), expected?.at ?? 0);
  const x = (effort: number): number => LEFT + ((WIDTH - LEFT - RIGHT) * effort) / last;
  const y = (dice: number): number => {
    const share = lowest === 1 ? 1 : Math.min(1, Math.max(0, (dice - lowest) / (1 - lowest)));
    return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * share;
  };
  const mark = (effort: number, dice: number, low: number | null, high: number | null): Mark => ({
    x: x(effort),
    y: y(dice),
    low: y(low ?? dice),
    high: y(high ?? dice),
  });
  return {
    models: judged.map(point => {
      const dice = point.dice ?? 0;
      const title = `model ${point.model_version}: Dice ${dice.toFixed(3)}`;
      return { ...mark(effortOf(point, unit), dice, point.dice_low, point.dice_high), inUse: point.in_use, title };
    }),
    forecast: expected && mark(expected.at, expected.expected, expected.low, expected.high),
    lowest,
    last,
  };
}

const line = (x1: number, y1: number, x2: number, y2: number, kind: string): string =>
  `<line x1="${x1.toFixed(1)}" y1="${y1.toFixed(1)}" x2="${x2.toFixed(1)}" y2="${y2.toFixed(1)}" class="${kind}"/>`;

const bar = ({ x, low, high }: Mark): string => (low === high ? '' : line(x, low, x, high, 'al-interval'));

const text = (x: number, y: number, anchor: string, content: string): string =>
  `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}" text-anchor="${anchor}">${content}</text>`;

/** The drawing as SVG. All texts in it are numbers and the project's unit, none is a reader's. */
export function drawn({ models, forecast, lowest, last }: Plot, unit: string): string {
  const base = HEIGHT - BOTTOM;
  const path = models.map(({ x, y }) => `${x.toFixed(1)},${y.toFixed(1)}`).join(' ');
  const newest = models.at(-1);
  const ahead = forecast && newest ? line(newest.x, newest.y, forecast.x, forecast.y, 'al-ahead') : '';
  const dots = models.map(
    ({ x, y, inUse, title }) =>
      `<circle cx="${x.toFixed(1)}" cy="${y.toFixed(1)}" r="${inUse ? 4 : 2.5}" class="al-model"><title>${title}</title></circle>`
  );
  const hollow = forecast ? `<circle cx="${forecast.x.toFixed(1)}" cy="${forecast.y.toFixed(1)}" r="3" class="al-expected"/>` : '';
  return [
    `<svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="Learning curve">`,
    line(LEFT, TOP, LEFT, base, 'al-axis'),
    line(LEFT, base, WIDTH - RIGHT, base, 'al-axis'),
    text(LEFT - 4, TOP + 8, 'end', '1'),
    text(LEFT - 4, base, 'end', String(lowest)),
    text(WIDTH - RIGHT, HEIGHT - 6, 'end', `${Number(last.toFixed(1))} ${unit === 'slices' ? 'slices' : 'volumes'}`),
    text(LEFT, HEIGHT - 6, 'start', 'Dice'),
    ...models.map(bar),
    forecast ? bar(forecast) : '',
    `<polyline points="${path}" class="al-curve"/>`,
    ahead,
    ...dots,
    hollow,
    '</svg>',
  ].join('');
}
