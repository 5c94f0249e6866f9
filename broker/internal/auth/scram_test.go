package auth

import (
	"context"
	"crypto/hmac"
	"crypto/pbkdf2"
	"encoding/base64"
	"strconv"
	"strings"
	"testing"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// scramUsers is an Auth whose user has verifiers of the password "pencil",
// with the salt and the iterations of the RFCs' example.
func scramUsers(t testing.TB) *Auth {
	t.Helper()
	salt, err := base64.StdEncoding.DecodeString("W22ZaJ0SNY7soEsUEjb6gQ==")
	if err != nil {
		t.Fatal(err)
	}
	text := ""
	for _, k := range []kind{scramSHA256, scramSHA512} {
		s, err := newSCRAM(k, []byte("pencil"), salt, 4096)
		if err != nil {
			t.Fatal(err)
		}
		text += "user:" + s.text + "\n" + "a,b=c:" + s.text + "\n"
	}
	a, err := New(Options{UsersFile: file(t, text)})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// step takes one step of an exchange.
func step(t testing.TB, x Exchange, data string) (reply string, done bool, id Identity, err error) {
	t.Helper()
	b, done, id, err := x.Step(context.Background(), []byte(data))
	return string(b), done, id, err
}

// The example of RFC 7677, section 3.
func TestSCRAMExampleOfTheRFC(t *testing.T) {
	a := scramUsers(t)
	x := a.Exchange("SCRAM-SHA-256", &Connect{}).(*scram)
	x.nonce = func() string { return "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0" }
	reply, done, _, err := step(t, x, "n,,n=user,r=rOprNGfwEbeRWgbNEkqO")
	if err != nil || done || reply != "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096" {
		t.Fatalf("server-first %q, %v", reply, err)
	}
	reply, done, id, err := step(t, x, "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=")
	if err != nil || !done || id.User != "user" || reply != "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=" {
		t.Errorf("server-final %q, %v", reply, err)
	}
	if _, _, _, err := step(t, x, "again"); code(t, err) != mqtt.NotAuthorized {
		t.Error(err)
	}
}

// answer is a client's side of the second half.
func answer(t testing.TB, k kind, gs2, bare, serverFirst, password string) (final, signature string) {
	t.Helper()
	return answerWith(t, k, gs2, bare, serverFirst, password, func(without string) string { return without })
}

// answerWith lets change alter what the proof is made for.
func answerWith(t testing.TB, k kind, gs2, bare, serverFirst, password string, change func(string) string) (final, signature string) {
	t.Helper()
	f := map[byte]string{}
	for _, a := range strings.Split(serverFirst, ",") {
		f[a[0]] = a[2:]
	}
	newHash := k.newHash()
	salt, err := base64.StdEncoding.DecodeString(f['s'])
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(f['i'])
	if err != nil {
		t.Fatal(err)
	}
	salted, err := pbkdf2.Key(newHash, password, salt, n, newHash().Size())
	if err != nil {
		t.Fatal(err)
	}
	mac := func(key []byte, text string) []byte {
		h := hmac.New(newHash, key)
		h.Write([]byte(text))
		return h.Sum(nil)
	}
	without := change("c=" + base64.StdEncoding.EncodeToString([]byte(gs2)) + ",r=" + f['r'])
	message := bare + "," + serverFirst + "," + without
	key := mac(salted, "Client Key")
	h := newHash()
	h.Write(key)
	proof := mac(h.Sum(nil), message)
	for i := range proof {
		proof[i] ^= key[i]
	}
	b64 := base64.StdEncoding.EncodeToString
	return without + ",p=" + b64(proof), "v=" + b64(mac(mac(salted, "Server Key"), message))
}

func TestSCRAM(t *testing.T) {
	a := scramUsers(t)
	for method, k := range methods {
		for _, c := range []struct {
			name, gs2, user, password string
			connect                   Connect
			want                      string // "": let in
		}{
			{name: "right", gs2: "n,,", user: "user", password: "pencil"},
			{name: "channel binding offered", gs2: "y,,", user: "user", password: "pencil"},
			{name: "escaped name", gs2: "n,a=a=2Cb=3Dc,", user: "a=2Cb=3Dc", password: "pencil"},
			{name: "the User Name of CONNECT", gs2: "n,,", user: "user", password: "pencil", connect: Connect{Username: "user", HasUsername: true}},
			{name: "wrong password", gs2: "n,,", user: "user", password: "pencils", want: "wrong user name"},
			{name: "case 66: unknown user", gs2: "n,,", user: "nobody", password: "pencil", want: "wrong user name"},
			{name: "another User Name", gs2: "n,,", user: "user", password: "pencil", connect: Connect{Username: "eve", HasUsername: true}, want: "not the one"},
			{name: "another certificate", gs2: "n,,", user: "user", password: "pencil", connect: Connect{CertificateUser: "eve"}, want: "not the one"},
			{name: "channel binding", gs2: "p=tls-unique,,", user: "user", password: "pencil", want: "channel binding"},
			{name: "for another user", gs2: "n,a=root,", user: "user", password: "pencil", want: "another user"},
			{name: "bad escape", gs2: "n,,", user: "us=er", password: "pencil", want: "user name"},
			{name: "control character", gs2: "n,,", user: "us\ner", password: "pencil", want: "user name"},
		} {
			t.Run(method+" "+c.name, func(t *testing.T) {
				x := a.Exchange(method, &c.connect)
				bare := "n=" + c.user + ",r=fyko+d2lbbFgONRv9qkxdawL"
				first, done, id, err := step(t, x, c.gs2+bare)
				final, signature := "", ""
				if err == nil {
					final, signature = answer(t, k, c.gs2, bare, first, c.password)
					first, done, id, err = step(t, x, final)
				}
				if c.want != "" {
					if err == nil || done || id.User != "" || !strings.Contains(err.Error(), c.want) {
						t.Errorf("%v, want %s", err, c.want)
					}
					return
				}
				if err != nil || !done || first != signature {
					t.Errorf("%q %v", first, err)
				}
			})
		}
	}
	for _, method := range []string{"", "SCRAM-SHA-1", "scram-sha-256", "PLAIN"} {
		if a.Exchange(method, &Connect{}) != nil {
			t.Errorf("method %q", method)
		}
	}
	if b, _, _ := people(t); b.Exchange("SCRAM-SHA-256", &Connect{}) != nil {
		t.Error("offered without a verifier")
	}
}

// A name that would mean more than itself in a rule is refused, as it is with a
// password.
func TestSCRAMNamesThatDoNotFitIntoRules(t *testing.T) {
	salt := []byte("sixteen bytes...")
	s, err := newSCRAM(scramSHA256, []byte("pencil"), salt, 4096)
	if err != nil {
		t.Fatal(err)
	}
	a, err := New(Options{
		UsersFile: file(t, "a+:"+s.text+"\nbob:"+s.text+"\n"),
		Rules:     []Rule{allow("a*", list("u/{user}"), nil), allow("bob", list("c/{client}"), nil)},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		user, client string
		code         mqtt.ReasonCode
	}{
		{"a+", "c", mqtt.NotAuthorized},
		{"bob", "c/#", mqtt.ClientIdentifierNotValid},
		{"bob", "", 0}, // one is assigned
		{"bob", "c", 0},
	} {
		x := a.Exchange("SCRAM-SHA-256", &Connect{ClientID: c.client})
		bare := "n=" + c.user + ",r=fyko+d2lbbFgONRv9qkxdawL"
		first, _, _, err := step(t, x, "n,,"+bare)
		if err != nil {
			t.Fatal(err)
		}
		final, _ := answer(t, scramSHA256, "n,,", bare, first, "pencil")
		if _, done, _, err := step(t, x, final); code(t, err) != c.code || done != (c.code == 0) {
			t.Errorf("user %q, client %q: done %t, %v", c.user, c.client, done, err)
		}
	}
}

// What a stranger is told looks like an account, today and tomorrow.
func TestSCRAMStrangersLookTheSame(t *testing.T) {
	a := scramUsers(t)
	ask := func(a *Auth, user string) string {
		reply, _, _, err := step(t, a.Exchange("SCRAM-SHA-256", &Connect{}), "n,,n="+user+",r=abc")
		if err != nil {
			t.Fatal(err)
		}
		return reply[strings.Index(reply, ",s="):]
	}
	again, err := New(Options{UsersFile: a.state.Load().users.file})
	if err != nil {
		t.Fatal(err)
	}
	eve := ask(a, "eve")
	if eve != ask(a, "eve") || eve != ask(again, "eve") || eve == ask(a, "bob") || len(eve) != len(ask(a, "user")) {
		t.Error(eve, ask(a, "user"))
	}
}

// A message that was changed on the way, or comes from another exchange.
func TestSCRAMRefusesForeignMessages(t *testing.T) {
	for _, change := range []func(final string) string{
		func(s string) string { return "" },
		func(s string) string { return strings.Replace(s, "c=biws", "c=eSws", 1) },
		func(s string) string { return strings.Replace(s, "r=abc", "r=abd", 1) },
		func(s string) string { return s[:strings.LastIndex(s, ",p=")] },
		func(s string) string { return s[:len(s)-8] },
		func(s string) string { return strings.Replace(s, ",p=", ",x=1,p=", 1) }, // not what was proved
		func(s string) string { return s + "\x00" },
		func(s string) string { return s + "\xff" },
		func(s string) string { return strings.Repeat("x", 2000) + s },
	} {
		x := scramUsers(t).Exchange("SCRAM-SHA-256", &Connect{})
		first, _, _, err := step(t, x, "n,,n=user,r=abc")
		if err != nil {
			t.Fatal(err)
		}
		final, _ := answer(t, scramSHA256, "n,,", "n=user,r=abc", first, "pencil")
		if _, done, id, err := step(t, x, change(final)); err == nil || done || id.User != "" {
			t.Errorf("%q was accepted", change(final))
		}
	}
}

func TestSCRAMRefusesForeignBeginnings(t *testing.T) {
	for _, first := range []string{
		"", "n", "n,", "n,,", "n,,n=user", "n,,r=abc,n=user", "n,,m=x,n=user,r=abc", "n,,n=user,x=abc", "n,,n=user,r=", "n,,n=user,r=a\tc",
		"x,,n=user,r=abc", ",,n=user,r=abc", "n,a,n=user,r=abc", "n,,n=,r=abc", "n,,n=us=3Der=,r=abc",
	} {
		x := scramUsers(t).Exchange("SCRAM-SHA-256", &Connect{})
		if reply, done, id, err := step(t, x, first); code(t, err) != mqtt.NotAuthorized || reply != "" || done || id.User != "" {
			t.Errorf("%q is answered with %q, %v", first, reply, err)
		}
	}
}

// A proof that is right for a nonce or a header of the client's own choice.
func TestSCRAMRefusesProofsForSomethingElse(t *testing.T) {
	for _, change := range []func(string) string{
		func(s string) string { return s[:strings.Index(s, ",r=")] + ",r=abc" },
		func(s string) string { return strings.Replace(s, "c=biws", "c=eSws", 1) },
	} {
		x := scramUsers(t).Exchange("SCRAM-SHA-256", &Connect{})
		first, _, _, err := step(t, x, "n,,n=user,r=abc")
		if err != nil {
			t.Fatal(err)
		}
		final, _ := answerWith(t, scramSHA256, "n,,", "n=user,r=abc", first, "pencil", change)
		if _, done, _, err := step(t, x, final); err == nil || done {
			t.Errorf("%q was accepted", final)
		}
	}
}

func TestSCRAMVerifierNeedsASCII(t *testing.T) {
	if _, err := SCRAMVerifiers([]byte("w\u00f6rd")); err == nil {
		t.Error("accepted")
	}
}

func FuzzSCRAM(f *testing.F) {
	a := scramUsers(f)
	f.Add("n,,n=user,r=abc", "c=biws,r=abc,p=AAAA")
	f.Add("y,a=user,n=us=2Cer,r=!\"$,x=y", "c=,r=,p=")
	f.Add("p=tls-exporter,,n=,r=", ",p=")
	f.Fuzz(func(t *testing.T, first, final string) {
		x := a.Exchange("SCRAM-SHA-512", &Connect{})
		if _, done, _, err := x.Step(context.Background(), []byte(first)); done || err != nil {
			if done {
				t.Fatal("done after one message")
			}
			return
		}
		// The nonce cannot be guessed, nor the proof be made.
		if _, done, _, err := x.Step(context.Background(), []byte(final)); done || err == nil {
			t.Fatalf("let in by %q %q", first, final)
		}
	})
}
