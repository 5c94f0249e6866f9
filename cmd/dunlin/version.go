package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/dunlin-mqtt/dunlin/cmd/dunlin/internal/api"
	"github.com/dunlin-mqtt/dunlin/cmd/dunlin/internal/flags"
)

// version and revision are set by the build, as in
// -ldflags "-X main.version=1.2.3 -X main.revision=0123456789ab"; without
// them, what the go command recorded is used.
var version, revision string

// revised is when the program's revision was made, in seconds since 1970; empty
// if the build does not say.
var revised string

// buildTime is a time that has passed when the program runs: that of its
// revision, or of the first release's year.
func buildTime() time.Time {
	seconds, _ := strconv.ParseInt(revised, 10, 64) // 0 if it is none
	return time.Unix(max(seconds, 1_704_067_200), 0)
}

func readVersion() api.Build {
	b := api.Build{Version: version, Revision: revision, Go: runtime.Version(), OS: runtime.GOOS, Arch: runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if ok {
		changed := false
		for _, s := range info.Settings {
			switch s.Key {
			case "vcs.revision":
				if revision == "" {
					b.Revision = s.Value[:min(12, len(s.Value))]
				}
			case "vcs.time":
				b.Time = s.Value
			case "vcs.modified":
				changed = s.Value == "true"
			}
		}
		if changed && revision == "" && b.Revision != "" {
			b.Revision += "+"
		}
		if b.Version == "" && info.Main.Version != "(devel)" {
			b.Version = info.Main.Version
		}
	}
	if b.Version == "" {
		b.Version = "development"
	}
	return b
}

// describe is one line for people.
func describe(b api.Build) string {
	text := "dunlin " + b.Version
	if b.Revision != "" {
		text += " (" + b.Revision + ")"
	}
	return fmt.Sprintf("%s %s %s/%s", text, b.Go, b.OS, b.Arch)
}

const versionHelp = `Usage: dunlin version [--json]

Shows the version, the revision it was built from, the Go version and the
platform.

Examples:
  dunlin version
  dunlin version --json
`

func runVersion(_ context.Context, args []string, s streams) int {
	fs := flags.New("version")
	asJSON := fs.Bool("json", false, "print one JSON object")
	code, done := parseFlags(fs, args, s, func(w io.Writer) { printHelp(w, versionHelp, fs) })
	if done {
		return code
	}
	if fs.NArg() > 0 {
		return usageError(s, "version", fmt.Sprintf("unexpected argument %q", fs.Arg(0)))
	}
	b := readVersion()
	if !*asJSON {
		fmt.Fprintln(s.out, describe(b))
		return exitDone
	}
	if err := json.NewEncoder(s.out).Encode(b); err != nil {
		fmt.Fprintln(s.err, "dunlin version:", err)
		return exitFailed
	}
	return exitDone
}
