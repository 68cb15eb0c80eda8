/** The library's face: what a test suite or a tool may import from 'vmsim'. */
export * from './units.js';
export * from './address.js';
export * from './errors.js';
export * from './events.js';
