// Package flags reads the flags of commands as people know them from other
// programs: --name value, --name=value, -n value, -nvalue, letters in groups
// (-rq1), flags after arguments, -- before arguments that look like flags.
// Durations are as in the configuration.
// It takes from no environment, exits nowhere and writes nothing.
//
// Locks: none; a Set belongs to one goroutine.
package flags
