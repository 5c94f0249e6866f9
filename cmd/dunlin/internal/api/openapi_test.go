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

	"github.com/dunlin-mqtt/dunlin/cmd/dunlin/internal/scan"
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

// described is what the document says of the rows of the table: what each is for,
// and a value of the type that it answers with; nil: none, or no JSON.
var described = map[string]struct {
	summary string
	answer  any
}{
	"GET /livez":                           {"200 while the broker answers", nil},
	"GET /readyz":                          {"200 while the gateway serves; bridges and devices count if include names them, as bridge:cloud,device:room", nil},
	"GET /healthz":                         {"as /readyz", nil},
	"GET /metrics":                         {"metrics as Prometheus reads them; open unless http.metrics says otherwise", nil},
	"GET /api/v1/openapi.json":             {"this document", nil},
	"GET /api/v1/version":                  {"the program", Build{}},
	"GET /api/v1/session":                  {"who is asking", Session{}},
	"POST /api/v1/login":                   {"log in at the page: user and password, or a token as password; the answer sets a cookie", Session{}},
	"POST /api/v1/logout":                  {"end the login", nil},
	"GET /api/v1/status":                   {"the gateway on one page", Status{}},
	"GET /api/v1/events":                   {"the status each second, as server-sent events; with changes=true whole first, then without devices and bridges that are as before, but older, and with attention null if it is the same", nil},
	"GET /api/v1/clients":                  {"sessions by Client Identifier; state is connected or offline, local are the gateway's own", Clients{}},
	"GET /api/v1/clients/*":                {"one session, and the last events of the client", Client{}},
	"DELETE /api/v1/clients/*":             {"end a client's connection; with session=true also its session, with all that waits in it", nil},
	"GET /api/v1/bans":                     {"who is kept out, and for how long still", []Ban(nil)},
	"POST /api/v1/bans":                    {"keep out for so many seconds who matches all that is named, until a restart; connections of theirs end", nil},
	"DELETE /api/v1/bans":                  {"end a ban", nil},
	"GET /api/v1/trace":                    {"what a client does, or what is published on topics of a filter, as server-sent events for five minutes; no payloads", nil},
	"GET /api/v1/topics":                   {"retained topics, one level at a time", Topics{}},
	"GET /api/v1/topic":                    {"one retained message", Message{}},
	"GET /api/v1/watch":                    {"messages as they are published, as server-sent events; many of a topic at once are thinned", nil},
	"POST /api/v1/publish":                 {"publish a message: topic, payload or payload_b64, qos, retain", nil},
	"DELETE /api/v1/retained":              {"clear the retained messages that a filter matches", Cleared{}},
	"GET /api/v1/backup":                   {"everything that is kept, for 'dunlin restore'; it holds payloads", nil},
	"POST /api/v1/update":                  {"install the update file in the body, on a machine with dunlin's image, which restarts to try it; downgrade=true for an older one", Updated{}},
	"GET /api/v1/update":                   {"what runs there, and what became of the last update", Updated{}},
	"POST /api/v1/reload":                  {"carry out the configuration anew; all of it or, with a mistake, nothing", Reload{}},
	"GET /api/v1/history":                  {"numbers of the recent past whose names begin with one of series, with commas between; span in seconds", History{}},
	"GET /api/v1/logs":                     {"the newest lines of the log", Logs{}},
	"GET /api/v1/config":                   {"every setting that is carried out; secrets are ***", Settings{}},
	"POST /api/v1/config/check":            {"the mistakes of the configuration in the body", Checked{}},
	"GET /api/v1/doctor":                   {"what is wrong with the configuration, the machine and the gateway, why it matters and what cures it", Diagnosis{}},
	"POST /api/v1/scan":                    {"look for hardware that can be read, as 'dunlin scan' does; takes seconds on a bus that hangs", scan.Report{}},
	"GET /api/v1/devices":                  {"devices of this gateway", []Device(nil)},
	"GET /api/v1/devices/*":                {"one device", Device{}},
	"POST /api/v1/devices/*/read":          {"read a device at once, or try to open it", nil},
	"POST /api/v1/devices/*/pause":         {"close a device until resume: it is offline with the reason paused", nil},
	"POST /api/v1/devices/*/resume":        {"open it again", nil},
	"GET /api/v1/bridges":                  {"links to other servers", []Bridge(nil)},
	"GET /api/v1/bridges/*":                {"one link", Bridge{}},
	"POST /api/v1/bridges/*/test":          {"try the way to the server as another client; takes up to 45 s a server", Probe{}},
	"POST /api/v1/bridges/*/reconnect":     {"end the link and connect anew at once, as after a repair", nil},
	"POST /api/v1/bridges/*/pause":         {"send nothing until resume; the link stays up", nil},
	"POST /api/v1/bridges/*/resume":        {"send again", nil},
	"GET /api/v1/bridges/*/spool":          {"what waits, in the order of sending", Letters{}},
	"GET /api/v1/bridges/*/spool/messages": {"the same whole, one JSON object a line; since is in seconds", nil},
	"POST /api/v1/bridges/*/spool/drain":   {"send what waited at so many messages a second until nothing waits; 0: at the bridge's own speed", Drained{}},
	"DELETE /api/v1/bridges/*/spool":       {"delete what waits and was never sent; older is in seconds", Counted{}},
	"GET /api/v1/bridges/*/dead":           {"messages that were given up, oldest first", Letters{}},
	"GET /api/v1/bridges/*/dead/messages":  {"the same whole, one JSON object a line; since is in seconds", nil},
	"GET /api/v1/bridges/*/dead/message":   {"one of them, whole", Letter{}},
	"POST /api/v1/bridges/*/dead/requeue":  {"queue one of them again; all of them with seq=all", Counted{}},
	"DELETE /api/v1/bridges/*/dead":        {"delete them; older is in seconds", Counted{}},
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
	case "dry_run", "downgrade", "changes", "session", "all", "local":
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
	about := described[r.method+" "+r.path]
	o := object{"summary": about.summary, "operationId": r.method + strings.NewReplacer("/", "_", "*", "name", ".", "_").Replace(r.path)}
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
	if about.answer != nil {
		done = object{"200": object{"description": "the document", "content": object{"application/json": object{"schema": schema(reflect.TypeOf(about.answer))}}}}
	} else if r.method == "GET" {
		content := object{}
		for end, kind := range media {
			if strings.HasSuffix(r.path, end) {
				content[kind] = object{}
			}
		}
		done = object{"200": object{"description": about.summary, "content": content}}
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
	for i := range table {
		if r := &table[i]; described[r.method+" "+r.path].summary == "" {
			t.Errorf("nothing says what %s %s is for", r.method, r.path)
		}
	}
	if len(described) != len(table) {
		t.Errorf("%d rows are described, there are %d", len(described), len(table))
	}
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
