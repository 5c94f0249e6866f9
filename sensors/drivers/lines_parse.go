package drivers

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/dunlin-mqtt/dunlin/sensors/drivers/pattern"
)

// lineField is one value of a line. key finds it: the path in JSON, the key of
// a pair, the number of a column or group; alias is the column's or group's
// name. value is a string, quoted, json.Number, bool, nil (JSON's null), or an
// error that says why there is none.
type lineField struct {
	key, alias string
	value      any
	unit       string
}

// quoted is a string that the device itself marked as one: nothing is inferred
// from it, since "0012" may be a serial number.
type quoted string

// lineParser takes a line apart. Nil fields without an error are a line that
// has no values, as a header. An error says why the format does not describe
// the line.
type lineParser func(line string) ([]lineField, error)

// lineOptionError is an option that no parser can be made of.
type lineOptionError struct{ key, msg string }

func (e *lineOptionError) Error() string { return e.key + ": " + e.msg }

// newLineParser makes the parser of o.Format.
func newLineParser(o *linesOptions) (lineParser, error) {
	switch o.Format {
	case "json":
		return parseJSONLine, nil
	case "csv":
		return newCSVParser(o)
	case "key_value":
		if o.Separator == "" {
			return nil, &lineOptionError{"separator", "is empty"}
		}
		return func(line string) ([]lineField, error) { return parsePairs(line, o.Delimiter, o.Separator) }, nil
	case "regex":
		return newRegexParser(o.Pattern)
	}
	return nil, &lineOptionError{"format", fmt.Sprintf("%q is not json, csv, key_value or regex", o.Format)}
}

// parseJSONLine takes one object or array; a scalar alone could be the rest of
// a longer line.
func parseJSONLine(line string) ([]lineField, error) {
	dec := json.NewDecoder(strings.NewReader(line))
	dec.UseNumber()
	var doc any
	if err := dec.Decode(&doc); err != nil {
		return nil, fmt.Errorf("not JSON: %w", err)
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, errors.New("something follows the JSON value")
	}
	switch doc.(type) {
	case map[string]any, []any:
		return flatten(nil, "", doc), nil
	}
	return nil, errors.New("neither a JSON object nor an array")
}

// flatten lists the scalars of a document by their paths, in the order of the
// paths.
func flatten(out []lineField, path string, doc any) []lineField {
	join := func(name string) string {
		if path == "" {
			return name
		}
		return path + "." + name
	}
	switch v := doc.(type) {
	case map[string]any:
		names := make([]string, 0, len(v))
		for name := range v {
			names = append(names, name)
		}
		slices.Sort(names)
		for _, name := range names {
			out = flatten(out, join(name), v[name])
		}
	case []any:
		for i, e := range v {
			out = flatten(out, join(strconv.Itoa(i)), e)
		}
	case string:
		out = append(out, lineField{key: path, value: quoted(v)})
	default:
		out = append(out, lineField{key: path, value: v})
	}
	return out
}

// csvParser remembers the names of columns across lines and replugs: a board
// sends its header once, when it starts.
type csvParser struct {
	comma   string
	header  bool
	columns []string
}

func newCSVParser(o *linesOptions) (lineParser, error) {
	delimiter := o.Delimiter
	switch delimiter {
	case "":
		delimiter = ","
	case "tab", `\t`:
		delimiter = "\t"
	}
	comma, size := utf8.DecodeRuneInString(delimiter)
	if size != len(delimiter) || comma == utf8.RuneError || strings.ContainsRune("\r\n\"", comma) {
		return nil, &lineOptionError{"delimiter", fmt.Sprintf("%q is not one character", o.Delimiter)}
	}
	for i, name := range o.Columns {
		if name == "" || slices.Contains(o.Columns[:i], name) {
			return nil, &lineOptionError{"columns", fmt.Sprintf("%q is empty or there twice", name)}
		}
	}
	p := &csvParser{comma: delimiter, header: o.Header, columns: slices.Clone(o.Columns)}
	return p.parse, nil
}

func (p *csvParser) parse(line string) ([]lineField, error) {
	record, err := splitCSV(line, p.comma)
	if err != nil {
		return nil, fmt.Errorf("not CSV: %w", err)
	}
	for i := range record {
		record[i] = strings.TrimSpace(record[i])
	}
	if p.header && namesOnly(record) {
		p.columns = record
		return nil, nil
	}
	switch {
	case p.header && p.columns == nil:
		return nil, errors.New("values came before a header")
	case p.columns != nil && len(record) != len(p.columns):
		return nil, fmt.Errorf("%d columns, not %d", len(record), len(p.columns))
	}
	fields := make([]lineField, len(record))
	for i, v := range record {
		fields[i] = lineField{key: strconv.Itoa(i + 1), value: v}
		if p.columns != nil {
			fields[i].alias = p.columns[i]
		}
	}
	return fields, nil
}

// splitCSV takes a line apart as RFC 4180 has it: what stands in quotes may have
// commas, and two quotes for one.
func splitCSV(line, comma string) (record []string, err error) {
	for more := true; more; {
		field := ""
		if comma != "\t" && comma != " " {
			line = strings.TrimLeftFunc(line, unicode.IsSpace)
		}
		rest, quoted := strings.CutPrefix(line, `"`)
		if !quoted {
			field, line, more = strings.Cut(line, comma)
			if strings.Contains(field, `"`) {
				return nil, errors.New("a quote in a column without quotes")
			}
		}
		for quoted {
			part, after, ok := strings.Cut(rest, `"`)
			if !ok {
				return nil, errors.New("a quote is not closed")
			}
			field += part
			if rest, quoted = strings.CutPrefix(after, `"`); quoted {
				field += `"`
			} else if line, more = strings.CutPrefix(after, comma); !more && line != "" {
				return nil, errors.New("something follows a closed quote")
			}
		}
		record = append(record, field)
	}
	return record, nil
}

// namesOnly recognizes a header: every column is a different name, none a
// value.
func namesOnly(record []string) bool {
	for i, v := range record {
		if _, isText := infer(v).(string); !isText || v == "" || slices.Contains(record[:i], v) {
			return false
		}
	}
	return true
}

// parsePairs takes "a=1 b=2", "a=1, b=2" or "a = 1; b = 2". A key that comes
// twice makes the line ambiguous.
func parsePairs(line, delimiter, separator string) ([]lineField, error) {
	var pairs []string
	switch {
	case delimiter != "":
		pairs = strings.Split(line, delimiter)
	case strings.ContainsAny(line, ",;"):
		pairs = strings.FieldsFunc(line, func(r rune) bool { return r == ',' || r == ';' })
	default:
		pairs = strings.Fields(line)
	}
	var fields []lineField
	for _, pair := range pairs {
		pair = strings.TrimSpace(pair)
		if pair == "" {
			continue
		}
		key, value, ok := strings.Cut(pair, separator)
		key, value = strings.TrimSpace(key), strings.TrimSpace(value)
		if !ok || key == "" {
			return nil, fmt.Errorf("%.40q is no pair with %q", pair, separator)
		}
		if slices.ContainsFunc(fields, func(f lineField) bool { return f.key == key }) {
			return nil, fmt.Errorf("key %.40q is there twice", key)
		}
		if n := len(value); n >= 2 && value[0] == '"' && value[n-1] == '"' {
			value = value[1 : n-1]
		}
		fields = append(fields, lineField{key: key, value: value})
	}
	if fields == nil {
		return nil, errors.New("no pairs")
	}
	return fields, nil
}

func newRegexParser(text string) (lineParser, error) {
	if text == "" {
		return nil, &lineOptionError{"pattern", "is missing: format regex needs one"}
	}
	re, err := pattern.Compile(text)
	if err != nil {
		return nil, &lineOptionError{"pattern", err.Error()}
	}
	names := re.Names()
	if len(names) < 2 {
		return nil, &lineOptionError{"pattern", "has no group: write (?P<name>...) around what is a value"}
	}
	return func(line string) ([]lineField, error) {
		at := re.Match(line)
		if at == nil {
			return nil, errors.New("the pattern does not match")
		}
		fields := []lineField{}
		for i := 1; i < len(names); i++ {
			if at[2*i] < 0 {
				continue // a group of an alternative that was not taken
			}
			value := strings.TrimSpace(line[at[2*i]:at[2*i+1]])
			fields = append(fields, lineField{key: strconv.Itoa(i), alias: names[i], value: value})
		}
		return fields, nil
	}, nil
}
