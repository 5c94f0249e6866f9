package drivers

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/dunlin-mqtt/dunlin/sensors"
)

// The sentences that manuals print, with their checksums.
const (
	gga = "$GPGGA,123519,4807.038,N,01131.000,E,1,08,0.9,545.4,M,46.9,M,,*47"
	rmc = "$GPRMC,123519,A,4807.038,N,01131.000,E,022.4,084.4,230394,003.1,W*6A"
	gsa = "$GPGSA,A,3,04,05,,09,12,,,24,,,,,2.5,1.3,2.1*39"
	vtg = "$GPVTG,054.7,T,034.4,M,005.5,N,010.2,K*48"
	gll = "$GPGLL,4916.45,N,12311.12,W,225444,A,*1D"
)

// sentence adds the checksum.
func sentence(body string) string {
	sum := byte(0)
	for _, b := range []byte(body) {
		sum ^= b
	}
	return fmt.Sprintf("$%s*%02X", body, sum)
}

func newNMEA() *nmea {
	return &nmea{o: &nmeaOptions{RequireFix: true}, synced: func() bool { return true }}
}

// fieldsOf are the values of a fix as text; an error is its reason.
func fieldsOf(list []lineField) map[string]string {
	m := map[string]string{}
	for _, f := range list {
		m[f.key] = fmt.Sprint(f.value) + f.unit
		if err, bad := f.value.(error); bad {
			m[f.key] = string(sensors.ReasonOf(err))
		}
	}
	return m
}

func TestNMEASentences(t *testing.T) {
	for _, tc := range []struct {
		line string
		want map[string]string
	}{
		{gga, map[string]string{"fix": "gps", "latitude": "48.1173000°", "longitude": "11.5166667°", "satellites": "8", "hdop": "0.9", "altitude": "545.4m",
			"position": `{"latitude":48.1173000,"longitude":11.5166667,"altitude":545.4}`}},
		{rmc, map[string]string{"latitude": "48.1173000°", "longitude": "11.5166667°", "speed": "41.4848km/h", "course": "84.4°", "time": "1994-03-23T12:35:19Z",
			"position": `{"latitude":48.1173000,"longitude":11.5166667}`}},
		{gll, map[string]string{"latitude": "49.2741667°", "longitude": "-123.1853333°", "position": `{"latitude":49.2741667,"longitude":-123.1853333}`}},
		{sentence("GNGNS,112257.00,3844.24011,N,00908.43828,W,AN,03,10.5,1.5,48.8,,"), map[string]string{"fix": "gps", "latitude": "38.7373352°", "longitude": "-9.1406380°",
			"satellites": "3", "hdop": "10.5", "altitude": "1.5m", "position": `{"latitude":38.7373352,"longitude":-9.1406380,"altitude":1.5}`}},
		{sentence("GNGNS,122310.0,3722.425671,N,12258.856215,W,DRA,14,0.9,1005.543,6.5,,"), map[string]string{"fix": "rtk", "latitude": "37.3737612°", "longitude": "-122.9809369°",
			"satellites": "14", "hdop": "0.9", "altitude": "1005.543m", "position": `{"latitude":37.3737612,"longitude":-122.9809369,"altitude":1005.543}`}},
		{gsa, map[string]string{"pdop": "2.5", "hdop": "1.3", "vdop": "2.1"}},
		{vtg, map[string]string{"course": "54.7°", "speed": "10.2km/h"}},
	} {
		n := newNMEA()
		if list, err := n.parse(tc.line); list != nil || err != nil {
			t.Fatalf("%s: %v, %v", tc.line, list, err)
		}
		n.o.RequireFix = tc.line != gsa && tc.line != vtg
		got := fieldsOf(n.finish())
		delete(got, "clock_offset")
		if fmt.Sprint(got) != fmt.Sprint(tc.want) {
			t.Errorf("%s\n got %v\nwant %v", tc.line, got, tc.want)
		}
	}
}

// What a weather station says has no fix to wait for, with sentences that Airmar's
// and other manuals print.
func TestNMEAWeather(t *testing.T) {
	const wimda = "WIMDA,29.7544,I,1.0076,B,35.5,C,,,42.1,,20.6,C,116.4,T,107.7,M,1.2,N,0.6,M"
	n := newNMEA()
	for _, tc := range []struct{ body, want string }{
		{"WIMWV,214.8,R,0.1,K,A", "map[wind_angle:214.8° wind_speed:0.1km/h]"},
		{"IIMWV,017,T,02.91,N,A", "map[true_wind_angle:17° true_wind_speed:5.38932km/h]"},
		{"WIMWV,320,R,15.0,M,A", "map[wind_angle:320° wind_speed:54km/h]"},
		{"WIMWV,,R,,M,V", "map[wind_angle:no_data wind_speed:no_data]"},
		{"WIMWV,,T,,,A", "map[]"},
		{wimda, "map[dew_point:20.6° humidity:42.1% pressure:1007.6hPa temperature:35.5°C true_wind_speed:2.2224km/h wind_direction:116.4°]"},
		{"WIMDA,29.92,I,,,,,,,,,,,,,,,,,,", "map[pressure:1013.207489hPa]"},
	} {
		list, err := n.parse(sentence(tc.body))
		if got := fmt.Sprint(fieldsOf(list)); err != nil || got != strings.Replace(tc.want, "20.6°", "20.6°C", 1) {
			t.Errorf("%s\n got %s, %v\nwant %s", tc.body, got, err, tc.want)
		}
	}
	for _, body := range []string{"WIMWV,1,R,1,X,A", "WIMWV,x,R,1,K,A", "WIMDA,,,x,B"} {
		if list, err := n.parse(sentence(body)); err == nil || list != nil {
			t.Errorf("%s is taken", body)
		}
	}
	t.Run("every", func(t *testing.T) {
		n := newNMEA()
		n.o.Every = time.Hour
		for i, want := range []int{2, 0, 0} {
			if list, err := n.parse(sentence(fmt.Sprintf("WIMWV,%d,R,1,K,A", i))); len(list) != want || err != nil {
				t.Errorf("sentence %d: %v, %v", i, list, err)
			}
		}
		n.airTold = time.Now().Add(-time.Hour)
		if list, _ := n.parse(sentence(wimda)); fieldsOf(list)["wind_angle"] != "2°" || len(list) != 8 {
			t.Errorf("after an hour: %v", fieldsOf(list))
		}
	})
	t.Run("beside a fix", func(t *testing.T) {
		n := newNMEA()
		for _, body := range []string{rmc, sentence("WIMWV,1,R,1,K,A"), gga} {
			list, err := n.parse(body)
			if _, has := fieldsOf(list)["latitude"]; err != nil || has || body != gga && body != rmc && len(list) != 2 {
				t.Errorf("%s: %v, %v", body, list, err)
			}
		}
		if got := fieldsOf(n.finish()); got["altitude"] != "545.4m" || got["speed"] != "41.4848km/h" || got["wind_speed"] != "" {
			t.Errorf("the fix is %v", got)
		}
	})
}

func TestNMEARefuses(t *testing.T) {
	n := newNMEA()
	for _, line := range []string{strings.Replace(gga, "4807", "4808", 1), gga[:len(gga)-1], gga[:len(gga)-3], "$*00", "$GPGGA",
		sentence("GPGGA,1,9107.038,N,01131.000,E,1,08,0.9,545.4,M,46.9,M,,"), sentence("GPGGA,1,4867.038,N,01131.000,E,1,08,0.9,545.4,M,46.9,M,,"),
		sentence("GPGGA,1,4807.038,E,01131.000,E,1,08,0.9,545.4,M,46.9,M,,"), sentence("GPGGA,1,4807.038,N,01131.000,E,9,08,0.9,545.4,M,46.9,M,,"),
		sentence("GPGGA,1,NaN,N,01131.000,E,1,08,0.9,545.4,M,46.9,M,,"), sentence("GPVTG,1e999,T,,M,,N,,K"), sentence("GPRMC,256199,A,,,,,,,230394,,")} {
		if list, err := n.parse(line); err == nil && list == nil && line != "$*00" {
			t.Errorf("%s is taken", line)
		}
	}
	for _, line := range []string{"!AIVDM,1,1,,B,177KQJ5000G?tO`K>RA1wUbN0TKH,0*5C", sentence("PUBX,00"), sentence("GPGSV,1,1,00"), "boot"} {
		if list, err := n.parse(line); list != nil || err != nil {
			t.Errorf("%s: %v, %v", line, list, err)
		}
	}
}

// A fix is handed out when it is complete: the first when the next begins,
// later ones with their last sentence.
func TestNMEAFixes(t *testing.T) {
	k := newTalkerOf(t, "nmea", func(o any, path string) {
		o.(*nmeaOptions).Port.Path = path
		o.(*nmeaOptions).Talkers = []string{"GP", "GN"}
	}, map[string]any{"position": nil, "satellites": nil, "speed": nil})
	fix := func(second int, valid, quality, lat string) string {
		return sentence(fmt.Sprintf("GPRMC,1200%02d.00,%s,%s,N,00100.000,E,010.0,,010126,,", second, valid, lat)) + "\r\n" +
			sentence(fmt.Sprintf("GLGGA,1200%02d.00,5000.000,N,00100.000,E,%s,99,1.0,10,M,,M,,", second, quality)) + "\r\n" +
			sentence(fmt.Sprintf("GPGGA,1200%02d.00,%s,N,00100.000,E,%s,07,1.0,10,M,,M,,", second, lat, quality)) + "\r\n"
	}
	k.Send("half of a sentence\r\n" + fix(1, "A", "1", "4800.000"))
	k.Send(fix(2, "A", "1", "4830.000"))
	at := func(lat string) map[string]any {
		return map[string]any{"position": `{"latitude":` + lat + `,"longitude":1.0000000,"altitude":10}`, "satellites": int64(7), "speed": 18.52}
	}
	first := at("48.0000000")
	first[rejectedLines] = int64(1)
	k.expect(t, first)
	k.expect(t, at("48.5000000")) // without waiting for the next
	k.Send(fix(3, "V", "0", "4830.000"))
	k.expect(t, map[string]any{"position": sensors.NoData, "satellites": int64(7), "speed": sensors.NoData})
	// A damaged last sentence: the fix ends when the next begins.
	k.Send(strings.Replace(fix(4, "A", "2", "4900.000"), "GPGGA", "GPGGX", 1) + fix(5, "A", "2", "4930.000"))
	list, err := k.read(t)
	if v := values(list); err != nil || v["speed"] != 18.52 || v[rejectedLines] != int64(2) {
		t.Errorf("%v, %v", v, err)
	}
	if got := sensors.ReasonOf(k.d.(sensors.Pusher).OnSilence()); got != sensors.NoData {
		t.Errorf("silence: %s", got)
	}
	if _, err := build(t, "nmea", func(o any) { o.(*nmeaOptions).Port.Path = "/dev/x" }, map[string]any{"height": nil}); err == nil || !strings.Contains(err.Error(), "entities.height") {
		t.Errorf("an entity that is none: %v", err)
	}
}

func TestNMEAEvery(t *testing.T) {
	n := newNMEA()
	n.o.Every = time.Hour
	got := 0
	for i := range 50 {
		list, err := n.parse(sentence(fmt.Sprintf("GPGGA,1200%02d,4800.000,N,00100.000,E,1,07,1.0,10,M,,M,,", i)))
		if err != nil {
			t.Fatal(err)
		}
		got += min(len(list), 1)
	}
	if got != 1 {
		t.Errorf("%d fixes within every", got)
	}
}

// A talker that no sentence has would be a receiver that says nothing.
func TestNMEATalkers(t *testing.T) {
	for talker, good := range map[string]bool{"GP": true, "GN": true, "QZ": true, "P1": true, "": false, "gp": false, "GPS": false, "GPRMC": false} {
		faults := 0
		(&nmeaOptions{Talkers: []string{"GN", talker}}).Validate(func(path, _ string) {
			if faults++; path != "talkers[1]" {
				t.Errorf("%q is wrong at %s", talker, path)
			}
		})
		if good != (faults == 0) {
			t.Errorf("talker %q: %d faults", talker, faults)
		}
	}
}

func TestNMEAClock(t *testing.T) {
	now := func(by time.Duration, valid string) string {
		return sentence("GPRMC," + time.Now().UTC().Add(by).Format("150405.00") + "," + valid + ",4800.0,N,00100.0,E,,," + time.Now().UTC().Add(by).Format("020106") + ",,")
	}
	for _, tc := range []struct {
		name   string
		trust  bool
		synced bool
		off    time.Duration
		valid  string
		want   string // what step was told, in seconds
	}{
		{"not trusted", false, false, time.Hour, "A", ""},
		{"something else keeps it", true, true, time.Hour, "A", ""},
		{"far off", true, false, time.Hour, "A", "3600"},
		{"close enough", true, false, time.Second, "A", "0"},
		{"no fix", true, false, time.Hour, "V", ""},
		{"weeks that ran over", true, false, -1024 * 7 * 24 * time.Hour, "A", ""},
	} {
		told := ""
		n := newNMEA()
		n.o.Clock.Trust = tc.trust
		n.synced = func() bool { return tc.synced }
		n.step = func(by time.Duration) error { told = fmt.Sprint(math.Round(by.Seconds())); return nil }
		if _, err := n.parse(now(tc.off, tc.valid)); err != nil {
			t.Error(err)
		}
		if told != tc.want {
			t.Errorf("%s: clock is moved by %q, want %q", tc.name, told, tc.want)
		}
	}
	n := newNMEA()
	n.o.Clock.Trust, n.synced, n.step = true, func() bool { return false }, func(time.Duration) error { return errors.New("not permitted") }
	if _, err := n.parse(now(time.Hour, "A")); err != nil {
		t.Error(err)
	}
	if got := fieldsOf(n.finish())["clock_offset"]; got != "permission" {
		t.Errorf("a clock that may not be set: %s", got)
	}
}

func FuzzNMEA(f *testing.F) {
	for _, s := range []string{gga, rmc, gsa, vtg, gll, "", "$", "$GPRMC*4B", "!x"} {
		f.Add(s, gga)
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		n := newNMEA()
		for _, line := range []string{a, b, sentence(a), sentence(b), a, b} {
			list, _ := n.parse(line)
			for _, field := range list {
				checkReading(t, line, field.reading(field.key, "", time.Unix(0, 0)))
			}
		}
	})
}

// TestNMEACut takes one byte out of a stream of sentences, at every place: it
// costs its own sentence and no other.
func TestNMEACut(t *testing.T) {
	all := strings.Join([]string{gga, rmc, gsa, vtg, ""}, "\r\n")
	for at := range all {
		good := 0
		for _, line := range strings.FieldsFunc(all[:at]+all[at+1:], func(r rune) bool { return r == '\r' || r == '\n' }) {
			if f, err := nmeaFields(line); f != nil && err == nil {
				good++
			}
		}
		if good < 3 {
			t.Errorf("without byte %d (%q) %d sentences of 4 are left", at, all[at], good)
		}
	}
	if f, err := nmeaFields(gga[:30] + rmc); err != nil || f[0] != "GPRMC" {
		t.Errorf("behind a sentence that was cut off: %v, %v", f, err)
	}
}
