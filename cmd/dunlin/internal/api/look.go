package api

import (
	"strings"

	"github.com/dunlin-mqtt/dunlin/cmd/dunlin/internal/lines"
)

// Logs are lines of the log, oldest first.
type Logs struct {
	Lines []lines.Line `json:"lines"`
}

// logs is GET /api/v1/logs.
func logs(c *call) (any, error) {
	limit, err := c.args.page()
	after, err2 := c.args.number("after", 0)
	if err != nil || err2 != nil {
		return nil, problem(400, "limit is a number from 1 to 1000, after the id of a line")
	}
	rank := map[string]int{"DEBUG": 1, "INFO": 2, "WARN": 3, "ERROR": 4}
	least, known := rank[strings.ToUpper(c.args["level"])]
	if !known && c.args["level"] != "" {
		return nil, problem(400, "level is debug, info, warn or error")
	}
	part, q := c.args["part"], strings.ToLower(c.args["q"])
	return Logs{c.a.Lines.After(uint64(after), limit, func(l *lines.Line) bool {
		return rank[l.Level] >= least && (part == "" || l.Part == part) && (q == "" || strings.Contains(strings.ToLower(l.Text), q))
	})}, nil
}

// Settings is what is carried out, secrets hidden.
type Settings struct {
	File     string    `json:"file,omitempty"`
	Settings []Setting `json:"settings"`
}

// Setting is one value; Origin is where the file has it, "" for a default.
type Setting struct {
	Path   string `json:"path"`
	Value  string `json:"value"`
	Origin string `json:"origin,omitempty"`
}

func settings(c *call) (any, error) {
	cfg := c.a.Config()
	out := Settings{File: cfg.File, Settings: []Setting{}}
	for _, s := range cfg.Flat() {
		out.Settings = append(out.Settings, Setting{s.Path, s.Value, cfg.Origin(s)})
	}
	return out, nil
}

// Checked is what is wrong with a configuration; Text is what 'dunlin check'
// prints.
type Checked struct {
	Valid bool   `json:"valid"`
	Text  string `json:"text"`
}

func checkText(c *call) (any, error) { return c.a.Check(c.Body), nil }
