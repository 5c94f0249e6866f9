package main

import (
	"errors"
	"strings"

	"github.com/dunlin-mqtt/dunlin/cmd/dunlin/internal/client"
	"github.com/dunlin-mqtt/dunlin/cmd/dunlin/internal/flags"
)

// propertyFlag is -D. It takes three or four arguments, which package flags
// does not know of: joinProperties makes one of them first, separated by NUL, which no
// argument can hold.
type propertyFlag struct {
	sets  client.PropertySets
	given bool
}

func (p *propertyFlag) Set(joined string) error {
	parts := strings.Split(joined, "\x00")
	if len(parts) < 3 {
		return errors.New("needs a packet, a property and its value, as -D publish content-type text/plain")
	}
	p.given = true
	return p.sets.Add(parts[0], parts[1], parts[2:])
}

// joinProperties joins the arguments of each -D. It walks args as Parse will,
// so that a "-D" which is another flag's value stays one.
func joinProperties(fs *flags.Set, args []string) []string {
	var out []string
	for i := 0; i < len(args); i++ {
		arg := args[i]
		switch {
		case arg == "--":
			return append(out, args[i:]...)
		case arg == "-D" || arg == "--property":
			n := min(3, len(args)-i-1)
			if n == 3 {
				n = min(2+client.PropertyValues(args[i+2]), len(args)-i-1)
			}
			out = append(out, "--property="+strings.Join(args[i+1:i+1+n], "\x00"))
			i += n
		case takesNext(fs, arg) && i+1 < len(args):
			out = append(out, arg, args[i+1])
			i++
		default:
			out = append(out, arg)
		}
	}
	return out
}

// takesNext reports whether the argument after arg is its value.
func takesNext(fs *flags.Set, arg string) bool {
	if long, ok := strings.CutPrefix(arg, "--"); ok {
		f := fs.Lookup(long)
		return f != nil && !f.Alone
	}
	if len(arg) < 2 || arg[0] != '-' {
		return false
	}
	for i := 1; i < len(arg); i++ { // -vh: letters until one takes a value
		f := fs.ShorthandLookup(arg[i : i+1])
		if f == nil {
			return false
		}
		if !f.Alone {
			return i == len(arg)-1
		}
	}
	return false
}
