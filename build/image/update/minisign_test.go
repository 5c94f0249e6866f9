package update

import (
	"bufio"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func file(t testing.TB, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func keys(t testing.TB, text string) []PublicKey {
	t.Helper()
	k, err := ParsePublicKeys(text)
	if err != nil || len(k) == 0 {
		t.Fatalf("%v, %v", k, err)
	}
	return k
}

// TestMinisign has keys and signatures that minisign 0.11 made, with the
// options -W and -l.
func TestMinisign(t *testing.T) {
	message, trusted := file(t, "message"), keys(t, file(t, "minisign.pub"))
	other, err := NewSecretKey()
	if err != nil {
		t.Fatal(err)
	}
	if got := trusted[0].String(); got != "D624867C6D7C92E9" {
		t.Errorf("the key's number is %s", got)
	}
	for _, name := range []string{"prehashed.minisig", "legacy.minisig"} {
		text := file(t, name)
		for what, tc := range map[string]struct {
			text, message string
			keys          []PublicKey
			want          string
		}{
			"good":               {text, message, trusted, ""},
			"of several keys":    {text, message, append([]PublicKey{other.Public()}, trusted...), ""},
			"another message":    {text, message + "!", trusted, "does not fit"},
			"another comment":    {strings.Replace(text, "a trusted", "a forged", 1), message, trusted, "does not fit"},
			"an untrusted key":   {text, message, []PublicKey{other.Public()}, "key D624867C6D7C92E9, which this gateway does not trust"},
			"the wrong key":      {text, message, []PublicKey{{trusted[0].Number, other.Public().Key}}, "does not fit"},
			"no keys":            {text, message, nil, "does not trust"},
			"cut short":          {text[:100], message, trusted, "ends within its signature"},
			"foreign":            {"PK\x03\x04\n", message, trusted, "does not begin with a signature"},
			"a comment too long": {"untrusted comment: " + strings.Repeat("x", 2000), message, trusted, "does not begin with a signature"},
		} {
			t.Run(name+" "+what, func(t *testing.T) {
				s, err := readSignature(bufio.NewReader(strings.NewReader(tc.text)))
				if err == nil {
					err = s.Verify(tc.keys, []byte(tc.message))
				}
				if (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
					t.Errorf("got %v, want %q", err, tc.want)
				}
			})
		}
	}
}

func TestSecretKeys(t *testing.T) {
	k, err := ParseSecretKey(file(t, "minisign.key"))
	if err != nil {
		t.Fatal(err)
	}
	if got := k.Public().Text(); got != file(t, "minisign.pub") {
		t.Errorf("its public key is %s", got)
	}
	fresh, err := NewSecretKey()
	if err != nil {
		t.Fatal(err)
	}
	again, err := ParseSecretKey(fresh.Text())
	if err != nil || !again.Key.Equal(fresh.Key) || again.Number != fresh.Number {
		t.Errorf("a key that was written and read: %v", err)
	}
	if got := keys(t, fresh.Public().Text())[0]; got.String() != fresh.Public().String() || !got.Key.Equal(fresh.Public().Key) {
		t.Error("a public key that was written and read is another")
	}
	for want, text := range map[string]string{
		"not a secret key": file(t, "minisign.pub"),
		"has a password":   strings.Replace(fresh.Text(), "RWQAAEIy", "RWRTY0Iy", 1),
		"is damaged":       strings.TrimRight(fresh.Text(), "\n")[:len(fresh.Text())-9] + "AAAAAAA=",
	} {
		if _, err := ParseSecretKey(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	if _, err := ParsePublicKeys("RWTpknxt"); err == nil {
		t.Error("half a public key was read")
	}
}

func TestSign(t *testing.T) {
	k, err := NewSecretKey()
	if err != nil {
		t.Fatal(err)
	}
	s, err := readSignature(bufio.NewReader(strings.NewReader(k.Sign([]byte("message"), "comment"))))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Verify([]PublicKey{k.Public()}, []byte("message")); err != nil {
		t.Error(err)
	}
	if s.comment != "comment" {
		t.Errorf("the comment is %q", s.comment)
	}
}

// FuzzSignature looks for panics, and for a signature of another message.
func FuzzSignature(f *testing.F) {
	f.Add(file(f, "prehashed.minisig"), file(f, "minisign.pub"))
	f.Add(file(f, "legacy.minisig"), file(f, "minisign.pub"))
	f.Fuzz(func(t *testing.T, signature, key string) {
		ParseSecretKey(key)
		keys, err := ParsePublicKeys(key)
		if err != nil {
			return
		}
		s, err := readSignature(bufio.NewReader(strings.NewReader(signature)))
		if err == nil && s.Verify(keys, []byte("what nobody signed")) == nil {
			t.Error("a message was verified that nobody signed")
		}
	})
}
