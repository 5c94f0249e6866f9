package api

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"flag"
	"io"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"
)

// object is a JSON object to be written.
type object map[string]any

// openAPIDocument writes the table as an OpenAPI document.
func openAPIDocument() object {
	paths := map[string]object{}
	for i := range table {
		r := &table[i]
		path := strings.Replace(r.path, "*", "{name}", 1)
		if paths[path] == nil {
			paths[path] = object{}
		}
		paths[path][strings.ToLower(r.method)] = r.describe()
	}
	return object{
		"openapi": "3.1.0",
		"info":    object{"title": "dunlin", "version": "v1", "license": object{"name": "Apache-2.0", "identifier": "Apache-2.0"}},
		"paths":   paths,
		"components": object{
			"securitySchemes": object{"token": object{"type": "http", "scheme": "bearer"}},
			"schemas":         object{"Problem": schema(reflect.TypeFor[Problem]())},
		},
	}
}

// bodies are what the rows read that take a body: its media type and schema.
var bodies = map[string]struct {
	media  string
	schema object
}{
	"POST /api/v1/login":        {"application/json", schema(reflect.TypeFor[loginRequest]())},
	"POST /api/v1/config/check": {"application/yaml", object{"type": "string"}},
	"POST /api/v1/update":       {"application/octet-stream", object{}},
	"POST /api/v1/publish": {"application/json", object{
		"type": "object", "required": []string{"topic"}, "additionalProperties": false, "properties": object{
			"topic":       object{"type": "string"},
			"payload":     object{"type": "string"},
			"payload_b64": object{"type": "string", "contentEncoding": "base64"},
			"qos":         object{"type": "integer", "minimum": 0, "maximum": 2},
			"retain":      object{"type": "boolean"},
		},
	}},
}

// media are the types of answers that are no JSON, by the end of the path.
var media = map[string]string{
	"/events": "text/event-stream", "/trace": "text/event-stream", "/watch": "text/event-stream", "/messages": "application/x-ndjson",
	"/backup": "application/octet-stream", "/metrics": "text/plain", "z": "text/plain", "/openapi.json": "application/json",
}

// argument describes one argument of a query.
func (r *route) argument(name string) object {
	kind, required := "string", false
	switch name {
	case "limit", "points", "span", "since", "older", "rate", "after":
		kind = "number"
	case "dry_run", "downgrade", "changes", "session", "all":
		kind = "boolean"
	case "topic", "seq":
		required = true
	case "for":
		kind, required = "number", true
	case "filter":
		required = r.path != "/api/v1/trace" // which takes a client as well
	}
	return object{"name": name, "in": "query", "required": required, "schema": object{"type": kind}}
}

func (r *route) describe() object {
	o := object{"summary": r.summary, "operationId": r.method + strings.NewReplacer("/", "_", "*", "name", ".", "_").Replace(r.path)}
	parameters := []object{}
	if strings.Contains(r.path, "*") {
		parameters = append(parameters, object{"name": "name", "in": "path", "required": true, "schema": object{"type": "string"}})
	}
	for name := range strings.SplitSeq(r.query, ",") {
		if name != "" {
			parameters = append(parameters, r.argument(name))
		}
	}
	if b, takes := bodies[r.method+" "+r.path]; takes {
		o["requestBody"] = object{"required": true, "content": object{b.media: object{"schema": b.schema}}}
	}
	if len(parameters) > 0 {
		o["parameters"] = parameters
	}
	done := object{"204": object{"description": "done"}}
	if r.answer != nil {
		done = object{"200": object{"description": "the document", "content": object{"application/json": object{"schema": schema(reflect.TypeOf(r.answer))}}}}
	} else if r.method == "GET" {
		content := object{}
		for end, kind := range media {
			if strings.HasSuffix(r.path, end) {
				content[kind] = object{}
			}
		}
		done = object{"200": object{"description": r.summary, "content": content}}
	}
	done["default"] = object{"description": "what is wrong", "content": object{"application/problem+json": object{"schema": object{"$ref": "#/components/schemas/Problem"}}}}
	o["responses"] = done
	if r.role > open {
		o["security"] = []object{{"token": []string{}}}
		o["x-role"] = r.role.String()
	}
	return o
}

// schema describes what encoding/json makes of a type.
func schema(t reflect.Type) object {
	switch t.Kind() {
	case reflect.Pointer:
		return schema(t.Elem())
	case reflect.Bool:
		return object{"type": "boolean"}
	case reflect.String:
		return object{"type": "string"}
	case reflect.Slice, reflect.Array:
		if t.Elem().Kind() == reflect.Uint8 {
			return object{"type": "string", "contentEncoding": "base64"}
		}
		return object{"type": "array", "items": schema(t.Elem())}
	case reflect.Map:
		return object{"type": "object", "additionalProperties": schema(t.Elem())}
	case reflect.Float64:
		return object{"type": "number"}
	case reflect.Interface:
		return object{}
	case reflect.Struct:
		if t == reflect.TypeFor[time.Time]() {
			return object{"type": "string", "format": "date-time"}
		}
		properties, required := object{}, []string{}
		for i := range t.NumField() {
			name, option, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
			if name == "-" {
				continue
			}
			properties[name] = schema(t.Field(i).Type)
			if option == "" {
				required = append(required, name)
			}
		}
		return object{"type": "object", "properties": properties, "required": required}
	}
	return object{"type": "integer"}
}

var update = flag.Bool("update", false, "write the OpenAPI document anew")

func TestOpenAPIIsWhatTheTableSays(t *testing.T) {
	want, err := json.MarshalIndent(openAPIDocument(), "", " ")
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		var b bytes.Buffer
		z, _ := gzip.NewWriterLevel(&b, gzip.BestCompression)
		z.Write(want)
		z.Close()
		if err := os.WriteFile("openapi.json.gz", b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		document = b.Bytes()
	}
	z, err := gzip.NewReader(bytes.NewReader(document))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(z); err != nil || !bytes.Equal(got, want) {
		t.Errorf("openapi.json.gz is not what the table says (%v): go test ./cmd/dunlin/internal/api -update", err)
	}
}
