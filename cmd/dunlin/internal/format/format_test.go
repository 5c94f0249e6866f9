package format

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/packet"
)

var noon = time.Date(2026, 1, 4, 13, 5, 9, 12345678, time.FixedZone("CET", 3600))

func sample() *Message {
	return &Message{
		Topic: "a/b", Payload: []byte("hello"), QoS: 1, Retain: true, ID: 7,
		Properties: packet.Properties{
			Has: packet.HasContentType | packet.HasMessageExpiry | packet.HasPayloadFormat | packet.HasResponseTopic |
				packet.HasCorrelationData | packet.HasSubscriptionIdentifier | packet.HasTopicAlias | packet.HasUser,
			ContentType: []byte("text"), MessageExpiry: 60, PayloadFormat: 1, ResponseTopic: []byte("r"),
			CorrelationData: []byte("c\x00d"), SubscriptionIdentifiers: []uint32{5, 9}, TopicAlias: 3,
			User: []packet.UserProperty{{Name: []byte("k"), Value: []byte("v")}, {Name: []byte("k"), Value: []byte("w")}},
		},
	}
}

// The expected column of the rows without time was taken from mosquitto_sub
// 2.0.11; field widths of hexadecimal output from 2.1, which does not halve.
func TestSequences(t *testing.T) {
	for _, tc := range []struct{ format, want string }{
		{"%t|%p|%q|%r|%l|%m", "a/b|hello|1|1|5|7"},
		{"%x %X", "68656c6c6f 68656C6C6F"},
		{"100%%", "100%"},
		{"%8t|%-8t|%.2t|%5.1t|%08t", "     a/b|a/b     |a/|    a|     a/b"},
		{"%8p|%-8p|%08p|%3p", "   hello|hello   |000hello|hel"},
		{"%12x|%-12X|%012x", "  68656c6c6f|68656C6C6F  |0068656c6c6f"},
		{"%4l|%-4l|%04l|%3m", "   5|5   |0005|  7"},
		{"%A %C %E %F %R %S", "3 text 60 1 r 5"},
		{"%D", "c\x00d"},
		{"%P", "k:v k:w"},
		{"%6C|%.2C|%03E", "  text|te|060"},
		{`\a\e\n\r\t\v\\\0`, "\a\x1b\n\r\t\v\\\x00"},
		{"a@@b", "a@b"},
		{"%I", "2026-01-04T13:05:09+0100"},
		{"%U", "1767528309.012345678"},
		{"@Y-@m-@d @H:@M:@S.@N @z @Z", "2026-01-04 13:05:09.012345678 +0100 CET"},
		{"@a @A @b @B @h", "Sun Sunday Jan January Jan"},
		{"@c|@D|@e|@F|@x|@X", "Sun Jan  4 13:05:09 2026|01/04/26| 4|2026-01-04|01/04/26|13:05:09"},
		{"@I @k @l @p @P @r @R @T", "01 13  1 PM pm 01:05:09 PM 13:05 13:05:09"},
		{"@C @y @g @G @V @U @W @u @w @j @s", "20 26 26 2026 01 01 00 7 0 004 1767528309"},
		{"@Q@%", "%Q%"},
	} {
		t.Run(tc.format, func(t *testing.T) {
			f, err := Parse(tc.format, false)
			if err != nil {
				t.Fatal(err)
			}
			got, err := f.Append(nil, sample(), noon)
			if err != nil || string(got) != tc.want {
				t.Errorf("got %q, %v, want %q", got, err, tc.want)
			}
		})
	}
}

func TestAbsentPropertiesLeaveTheirWidth(t *testing.T) {
	f, err := Parse("[%3A|%3C|%03E|%D|%F|%P|%3R|%2S]", false)
	if err != nil {
		t.Fatal(err)
	}
	got, _ := f.Append(nil, &Message{Topic: "t"}, noon)
	if want := "[   |   |000|||||  ]"; string(got) != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestRefusedFormats(t *testing.T) {
	for _, tc := range []struct{ format, msg string }{
		{"%", "incomplete format"}, {"%-", "incomplete format"}, {"%5", "incomplete format"},
		{"%5.", "incomplete format"}, {"%5.2", "incomplete format"}, {"@", "incomplete format"},
		{`\`, "incomplete escape"}, {`\q`, `invalid escape specifier 'q'`},
		{"%Q", "invalid format specifier 'Q'"}, {"%0-5t", "invalid format specifier '-'"},
		{"%99999999999999999999t", "field width"},
	} {
		if _, err := Parse(tc.format, false); err == nil || !strings.Contains(err.Error(), tc.msg) {
			t.Errorf("%q: got %v, want %s", tc.format, err, tc.msg)
		}
	}
}

func TestJSON(t *testing.T) {
	const head = `{"tst":"2026-01-04T13:05:09.012345+01:00","topic":"t","qos":0,"retain":0,"payloadlen":`
	for _, tc := range []struct {
		name, format string
		payload      string
		want         string
	}{
		{"text", "%j", "hi", head + `2,"payload":"hi"}`},
		{"empty is null", "%j", "", head + `0,"payload":null}`},
		{"escapes", "%j", "\"\\/\b\f\n\r\t\x01", head + `9,"payload":"\"\\/\b\f\n\r\t\u0001"}`},
		{"not UTF-8", "%j", "a\xffb\x00", head + "4,\"payload\":\"a\ufffdb\\u0000\"}"},
		{"JSON keeps its numbers", "%J", ` {"a": [1.0, 12345678901234567890] } `, head + `39,"payload":{"a":[1.0,12345678901234567890]}}`},
		{"empty JSON", "%J", "", head + `0,"payload":null}`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f, _ := Parse(tc.format, false)
			got, err := f.Append(nil, &Message{Topic: "t", Payload: []byte(tc.payload)}, noon)
			if err != nil {
				t.Fatal(err)
			}
			if !json.Valid(got) {
				t.Errorf("not JSON: %s", got)
			}
			if tc.name != "JSON keeps its numbers" && string(got) != tc.want {
				t.Errorf("got  %s\nwant %s", got, tc.want)
			}
			if want := tc.want[strings.Index(tc.want, `"payload"`):]; !strings.HasSuffix(string(got), want) {
				t.Errorf("got  %s\nwant %s", got, want)
			}
		})
	}
}

func TestJSONTimeIsRFC3339(t *testing.T) {
	f, _ := Parse("%j", false)
	got, _ := f.Append(nil, sample(), noon)
	var v struct {
		Tst        time.Time
		Mid        int
		Properties map[string]any
	}
	if err := json.Unmarshal(got, &v); err != nil {
		t.Fatal(err)
	}
	if !v.Tst.Equal(noon.Truncate(time.Microsecond)) || v.Mid != 7 || v.Properties["content-type"] != "text" {
		t.Errorf("got %+v", v)
	}
}

func TestPayloadThatIsNotJSON(t *testing.T) {
	f, _ := Parse("[%J]", false)
	got, err := f.Append(nil, &Message{Topic: "t", Payload: []byte("{")}, noon)
	if err == nil || string(got) != "[]" {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestPretty(t *testing.T) {
	got := appendPretty(nil, []byte(`{"a":1,"b":{"c":"x,{\"}","d":[1,{"e":2}],"f":[]},"g":{}}`))
	want := "{\n\t\"a\":\t1,\n\t\"b\":\t{\n\t\t\"c\":\t\"x,{\\\"}\",\n\t\t\"d\":\t[1, {\n\t\t\t\t\"e\":\t2\n\t\t\t}],\n\t\t\"f\":\t[]\n\t},\n\t\"g\":\t{\n\t}\n}"
	if string(got) != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func FuzzFormat(f *testing.F) {
	for _, s := range []string{"%t %p", "%-08.3t", "@H:@M:@S.@N", `\n\t\\`, "%j%J%x%X", "%", "%%", "@@", "%P%D"} {
		f.Add(s, []byte(`{"a":1}`))
	}
	f.Fuzz(func(t *testing.T, s string, payload []byte) {
		for _, pretty := range []bool{false, true} {
			parsed, err := Parse(s, pretty)
			if err != nil {
				return
			}
			for _, x := range parsed.pieces {
				if x.width > 4096 {
					return // valid, but only memory
				}
			}
			m := sample()
			m.Payload = payload
			out, _ := parsed.Append(nil, m, noon)
			if s == "%j" && !json.Valid(out) {
				t.Errorf("%%j gave %q", out)
			}
		}
	})
}
