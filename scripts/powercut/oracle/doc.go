// Package oracle is what the recorded machine and who judges its disk agree on:
// who publishes what, and the stamps that say what was acknowledged.
package oracle
