package main

import (
	"bytes"
	"encoding/json"
	"strings"

	"github.com/dunlin-mqtt/dunlin/cmd/dunlin/internal/api"
)

// fields are those of a JSON object in rows of name and value.
type fields [][]string

// UnmarshalJSON reads them in their order. What is empty has no row.
func (f *fields) UnmarshalJSON(b []byte) error {
	d := json.NewDecoder(bytes.NewReader(b))
	if _, err := d.Token(); err != nil {
		return err
	}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return err
		}
		var v any
		if err := d.Decode(&v); err != nil {
			return err
		}
		key, _ := name.(string) // the decoder takes no others
		if text := fieldText(key, v); text != "" {
			*f = append(*f, []string{strings.ReplaceAll(key, "_", " "), text})
		}
	}
	return nil
}

// inSeconds are the names of the API's fields that are ages or spans.
const inSeconds = " since rtt last_ack ack_age oldest drain "

func fieldText(name string, v any) string {
	switch v := v.(type) {
	case float64:
		switch {
		case strings.Contains(inSeconds, " "+name+" "):
			return span(v)
		case name == "bytes":
			return size(int64(v))
		}
		return reading(&api.Value{Value: v})
	case string:
		return printable(v)
	case bool:
		return map[bool]string{true: "yes", false: "no"}[v]
	}
	b, err := json.Marshal(v)
	if err != nil || len(b) <= len("{}") {
		return ""
	}
	return printable(string(b))
}
