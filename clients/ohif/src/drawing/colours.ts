/** Colours of structures, each bright beside the greys of a CT and unlike its neighbours. */

export type Colour = [red: number, green: number, blue: number, alpha: number];

const BRIGHT: readonly [number, number, number][] = [
  [255, 170, 0], // orange
  [0, 220, 255], // cyan
  [120, 255, 60], // green
  [255, 90, 200], // pink
  [255, 240, 60], // yellow
  [255, 95, 70], // red
  [170, 170, 255], // lavender
  [0, 255, 180], // mint
  [255, 200, 170], // peach
  [215, 130, 255], // violet
];

/** The colour of the structure with this value, from 1. They begin again after the tenth. */
export function colourOf(value: number): Colour {
  const colour = BRIGHT[(value - 1) % BRIGHT.length] ?? [255, 255, 255];
  return [...colour, 255];
}
