package auth

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// issuer signs tokens of every kind.
type issuer struct {
	secret []byte
	rsa    *rsa.PrivateKey
	ec     *ecdsa.PrivateKey
	ed     ed25519.PrivateKey
}

func newIssuer(t testing.TB) *issuer {
	t.Helper()
	i := &issuer{secret: bytes.Repeat([]byte("k"), 32)}
	var err error
	if i.rsa, err = rsa.GenerateKey(rand.Reader, 2048); err != nil {
		t.Fatal(err)
	}
	if i.ec, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	if _, i.ed, err = ed25519.GenerateKey(rand.Reader); err != nil {
		t.Fatal(err)
	}
	return i
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// jwks is the issuer's key set.
func (i *issuer) jwks(t testing.TB) string {
	t.Helper()
	point, err := i.ec.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf(`{"keys":[
{"kty":"oct","kid":"h","k":%q},
{"kty":"RSA","kid":"r","use":"sig","alg":"RS256","n":%q,"e":"AQAB"},
{"kty":"RSA","kid":"enc","use":"enc","n":%q,"e":"AQAB"},
{"kty":"EC","kid":"e","crv":"P-256","x":%q,"y":%q},
{"kty":"OKP","kid":"d","crv":"Ed25519","x":%q}]}`,
		b64(i.secret), b64(i.rsa.N.Bytes()), b64(i.rsa.N.Bytes()), b64(point[1:33]), b64(point[33:]), b64(i.ed.Public().(ed25519.PublicKey)))
}

// sign makes a token; header and claims are JSON.
func (i *issuer) sign(t testing.TB, algorithm, header, claims string) string {
	t.Helper()
	text := b64([]byte(header)) + "." + b64([]byte(claims))
	sum := sha256.Sum256([]byte(text))
	var sig []byte
	var err error
	switch algorithm {
	case "HS256":
		h := hmac.New(sha256.New, i.secret)
		h.Write([]byte(text))
		sig = h.Sum(nil)
	case "RS256":
		sig, err = rsa.SignPKCS1v15(rand.Reader, i.rsa, crypto.SHA256, sum[:])
	case "ES256":
		r, s, e := ecdsa.Sign(rand.Reader, i.ec, sum[:])
		sig, err = append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...), e
	case "EdDSA":
		sig = ed25519.Sign(i.ed, []byte(text))
	}
	if err != nil {
		t.Fatal(err)
	}
	return text + "." + b64(sig)
}

func TestJWT(t *testing.T) {
	i := newIssuer(t)
	a, err := New(Options{JWT: &JWT{Keys: file(t, i.jwks(t))}})
	if err != nil {
		t.Fatal(err)
	}
	rsaPublic := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: marshal(t, &i.rsa.PublicKey)})
	now := time.Now().Unix()
	good := fmt.Sprintf(`{"sub":"dev1","exp":%d,"nbf":%d,"iat":%d.5}`, now+3600, now-1, now)
	at := func(name string, offset int64) string {
		return fmt.Sprintf(`{"sub":"dev1","exp":%d,%q:%d}`, now+3600, name, now+offset)
	}
	for _, c := range []struct {
		name, algorithm, header, claims, user, want string
	}{
		{"HS256", "HS256", `{"alg":"HS256","kid":"h"}`, good, "", ""},
		{"RS256", "RS256", `{"alg":"RS256","kid":"r","typ":"JWT"}`, good, "dev1", ""},
		{"ES256", "ES256", `{"alg":"ES256"}`, good, "", ""},
		{"EdDSA", "EdDSA", `{"alg":"EdDSA","kid":"d"}`, good, "", ""},
		{"none", "none", `{"alg":"none"}`, good, "", "no key"},
		{"no alg", "HS256", `{"typ":"JWT"}`, good, "", "no alg"},
		{"alg is no text", "HS256", `{"alg":["HS256"]}`, good, "", "no alg"},
		{"an algorithm of another key", "HS256", `{"alg":"HS256","kid":"r"}`, good, "", "no key"},
		{"unknown kid", "RS256", `{"alg":"RS256","kid":"x"}`, good, "", "no key"},
		{"a key for encryption", "RS256", `{"alg":"RS256","kid":"enc"}`, good, "", "no key"},
		{"another algorithm's signature", "HS256", `{"alg":"RS256"}`, good, "", "wrong signature"},
		{"crit", "HS256", `{"alg":"HS256","crit":["b64"],"b64":false}`, good, "", "crit"},
		{"ended", "HS256", `{"alg":"HS256"}`, fmt.Sprintf(`{"sub":"dev1","exp":%d}`, now-31), "", "ended"},
		{"ended within the leeway", "HS256", `{"alg":"HS256"}`, fmt.Sprintf(`{"sub":"dev1","exp":%d}`, now-20), "", ""},
		{"never ends", "HS256", `{"alg":"HS256"}`, `{"sub":"dev1"}`, "", "exp is missing"},
		{"exp is no date", "HS256", `{"alg":"HS256"}`, `{"sub":"dev1","exp":"tomorrow"}`, "", "no date"},
		{"exp is null", "HS256", `{"alg":"HS256"}`, `{"sub":"dev1","exp":null}`, "", "no date"},
		{"a name that is not UTF-8", "HS256", `{"alg":"HS256"}`, fmt.Sprintf("{\"sub\":\"d\xffv\",\"exp\":%d}", now+60), "", "no text"},
		{"a name with half a surrogate", "HS256", `{"alg":"HS256"}`, fmt.Sprintf(`{"sub":"d\ud800v","exp":%d}`, now+60), "", "no text"},
		{"exp is huge", "HS256", `{"alg":"HS256"}`, `{"sub":"dev1","exp":1e300}`, "", "no date"},
		{"not yet", "HS256", `{"alg":"HS256"}`, at("nbf", 60), "", "not valid yet (nbf)"},
		{"from the future", "HS256", `{"alg":"HS256"}`, at("iat", 60), "", "not valid yet (iat)"},
		{"within the leeway", "HS256", `{"alg":"HS256"}`, at("nbf", 20), "", ""},
		{"for another audience", "HS256", `{"alg":"HS256"}`, fmt.Sprintf(`{"sub":"dev1","exp":%d,"aud":"mail"}`, now+9), "", "another audience"},
		{"no user", "HS256", `{"alg":"HS256"}`, fmt.Sprintf(`{"exp":%d}`, now+9), "", "sub is missing"},
		{"user is no text", "HS256", `{"alg":"HS256"}`, fmt.Sprintf(`{"sub":1,"exp":%d}`, now+9), "", "sub is missing"},
		{"user is no name", "HS256", `{"alg":"HS256"}`, fmt.Sprintf(`{"sub":"a\u0000","exp":%d}`, now+9), "", "control characters"},
		{"another case of the claim", "HS256", `{"alg":"HS256"}`, fmt.Sprintf(`{"SUB":"a","exp":%d}`, now+9), "", "sub is missing"},
		{"another user", "HS256", `{"alg":"HS256"}`, good, "dev2", "another user"},
		{"no JSON", "HS256", `{"alg":"HS256"`, good, "", "no JSON"},
		{"null", "HS256", `{"alg":"HS256"}`, `null`, "", "no JSON"},
	} {
		t.Run(c.name, func(t *testing.T) {
			token := i.sign(t, c.algorithm, c.header, c.claims)
			if !looksLikeJWT([]byte(token)) {
				t.Fatal("not seen")
			}
			id, err := a.Authenticate(t.Context(), &Connect{Username: c.user, HasUsername: true, Password: []byte(token), HasPassword: true})
			if c.want == "" {
				if err != nil || id.User != "dev1" || id.Expires.IsZero() {
					t.Errorf("%+v %v", id, err)
				}
				return
			}
			if code(t, err) != mqtt.BadUserNameOrPassword || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %s", err, c.want)
			}
		})
	}
	t.Run("a public key is no secret", func(t *testing.T) {
		only, err := New(Options{JWT: &JWT{Keys: file(t, string(rsaPublic))}})
		if err != nil {
			t.Fatal(err)
		}
		forged := &issuer{secret: bytes.TrimSpace(rsaPublic)}
		for _, secret := range [][]byte{rsaPublic, bytes.TrimSpace(rsaPublic)} {
			forged.secret = secret
			if _, err := only.Authenticate(t.Context(), login("", forged.sign(t, "HS256", `{"alg":"HS256"}`, good))); code(t, err) != mqtt.BadUserNameOrPassword {
				t.Error(err)
			}
		}
	})
	t.Run("a changed token", func(t *testing.T) {
		token := i.sign(t, "EdDSA", `{"alg":"EdDSA"}`, good)
		for at := range len(token) {
			b := []byte(token)
			b[at] ^= 1
			if _, err := a.Authenticate(t.Context(), login("", string(b))); err == nil {
				t.Errorf("byte %d", at)
			}
		}
		if _, err := a.Authenticate(t.Context(), login("", token+strings.Repeat("A", maxToken))); code(t, err) != mqtt.BadUserNameOrPassword {
			t.Error(err)
		}
	})
}

func marshal(t testing.TB, public any) []byte {
	t.Helper()
	b, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// A signature that is cut, or has something behind it, is wrong and no more.
func TestJWTSignaturesOfAnotherLength(t *testing.T) {
	i := newIssuer(t)
	list, err := parseKeys([]byte(i.jwks(t)))
	if err != nil {
		t.Fatal(err)
	}
	k := &keys{userClaim: "sub", list: list}
	now := time.Now()
	for _, algorithm := range []string{"HS256", "RS256", "ES256", "EdDSA"} {
		token := i.sign(t, algorithm, fmt.Sprintf(`{"alg":%q}`, algorithm), fmt.Sprintf(`{"sub":"dev1","exp":%d}`, now.Unix()+60))
		if _, err := k.verify([]byte(token), now); err != nil {
			t.Fatal(algorithm, err)
		}
		dot := strings.LastIndexByte(token, '.')
		signature, err := base64URL.DecodeString(token[dot+1:])
		if err != nil {
			t.Fatal(err)
		}
		for _, other := range [][]byte{nil, signature[:1], signature[:len(signature)/2], signature[:len(signature)-1], append(slices.Clone(signature), 0), slices.Repeat(signature, 2)} {
			if _, err := k.verify([]byte(token[:dot+1]+b64(other)), now); err == nil {
				t.Errorf("%s: a signature of %d bytes is taken for one of %d", algorithm, len(other), len(signature))
			}
		}
	}
}

func TestJWTAudience(t *testing.T) {
	i := newIssuer(t)
	a, err := New(Options{JWT: &JWT{Keys: file(t, string(i.secret)+"\n"), Audience: "dunlin"}})
	if err != nil {
		t.Fatal(err)
	}
	for aud, want := range map[string]bool{
		`,"aud":"dunlin"`: true, `,"aud":["mail","dunlin"]`: true,
		``: false, `,"aud":"mail"`: false, `,"aud":[]`: false, `,"aud":["dunlin",1]`: false, `,"aud":null`: false, `,"aud":{"dunlin":1}`: false, `,"aud":"Dunlin"`: false,
	} {
		token := i.sign(t, "HS256", `{"alg":"HS256"}`, fmt.Sprintf(`{"sub":"x","exp":%d%s}`, time.Now().Add(time.Minute).Unix(), aud))
		if _, err := a.Authenticate(t.Context(), login("", token)); (err == nil) != want || err != nil && !strings.Contains(err.Error(), "audience") {
			t.Errorf("%s: %v", aud, err)
		}
	}
}

func TestTokensOfAKeyThatIsGoneAreLost(t *testing.T) {
	i, other := newIssuer(t), newIssuer(t)
	o := Options{JWT: &JWT{Keys: file(t, i.jwks(t))}}
	a, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]*Identity{}
	for _, algorithm := range []string{"HS256", "RS256", "ES256", "EdDSA"} {
		id, err := a.Authenticate(t.Context(), login("", i.sign(t, algorithm, `{"alg":"`+algorithm+`"}`, fmt.Sprintf(`{"sub":"x","exp":%d}`, time.Now().Add(time.Hour).Unix()))))
		if err != nil {
			t.Fatal(err)
		}
		all[algorithm] = &id
	}
	reload := func(keys string) {
		t.Helper()
		if err := os.WriteFile(o.JWT.Keys, []byte(keys), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := a.Reload(o); err != nil {
			t.Fatal(err)
		}
	}
	for _, step := range []struct {
		name, keys string
		stay       string
	}{
		{"the same keys under other ids", strings.ReplaceAll(i.jwks(t), `"kid":"`, `"kid":"new-`), "HS256 RS256 ES256 EdDSA"},
		{"one key is left", string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: marshal(t, i.ed.Public())})), "EdDSA"},
		{"keys of the same kinds", strings.ReplaceAll(other.jwks(t), b64(other.secret), b64(bytes.Repeat([]byte("o"), 32))), ""},
	} {
		reload(step.keys)
		for algorithm, id := range all {
			if got := a.Lost(id, "l"); got == strings.Contains(step.stay, algorithm) {
				t.Errorf("%s: %s lost: %v", step.name, algorithm, got)
			}
		}
	}
	reload(i.jwks(t))
	o.JWT = nil
	if err := a.Reload(o); err != nil || !a.Lost(all["RS256"], "l") {
		t.Errorf("tokens are not taken any more: %v", err)
	}
}

func TestJWTOfAnotherClaim(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := newIssuer(t)
		a, err := New(Options{JWT: &JWT{Keys: file(t, string(i.secret)+"\n"), UserClaim: "client"}})
		if err != nil {
			t.Fatal(err)
		}
		token := i.sign(t, "HS256", `{"alg":"HS256"}`, fmt.Sprintf(`{"client":"x","exp":%d}`, time.Now().Add(time.Minute).Unix()))
		id, err := a.Authenticate(t.Context(), login("", token))
		if err != nil || id.User != "x" || !id.Expires.Equal(time.Now().Add(time.Minute+leeway)) {
			t.Errorf("%+v %v", id, err)
		}
		time.Sleep(time.Minute + leeway)
		if _, err := a.Authenticate(t.Context(), login("", token)); err == nil {
			t.Error("it had ended")
		}
	})
}

func TestJWTKeysRefused(t *testing.T) {
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Skip(err) // the library refuses by itself
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	asPEM := func(kind string, b []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: b}))
	}
	set := func(key map[string]string) string {
		b, err := json.Marshal(map[string]any{"keys": []any{key}})
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	for _, c := range []struct{ name, text, want string }{
		{"empty", "", "32 bytes"},
		{"short secret", "secret", "32 bytes"},
		{"the page of an error", "<html><title>404</title>nothing_here</html>", "no secret"},
		{"an address", "https://issuer.example.com/.well-known/jwks.json", "no secret"},
		{"a public key of OpenSSH", "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKPZ issuer", "no secret"},
		{"a public key in DER", string(marshal(t, &small.PublicKey)), "no secret"},
		{"small RSA key", asPEM("PUBLIC KEY", marshal(t, &small.PublicKey)), "2048"},
		{"P-384", asPEM("PUBLIC KEY", marshal(t, &p384.PublicKey)), "P-256"},
		{"private key", asPEM("PRIVATE KEY", []byte("x")), "only PUBLIC KEY"},
		{"half a set", `{"keys":[`, "no JSON Web Key Set"},
		{"no keys", `{"keys":[]}`, "holds no key"},
		{"private JWK", set(map[string]string{"kty": "RSA", "n": "AQ", "e": "AQAB", "d": "AQ"}), "private key"},
		{"unknown type", set(map[string]string{"kty": "X"}), "only kty"},
		{"no point", set(map[string]string{"kty": "EC", "crv": "P-256", "x": b64(make([]byte, 32)), "y": b64(big.NewInt(1).FillBytes(make([]byte, 32)))}), "key 1"},
		{"even exponent", set(map[string]string{"kty": "RSA", "n": b64(bytes.Repeat([]byte{255}, 256)), "e": "Ag"}), "exponent"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := New(Options{JWT: &JWT{Keys: file(t, c.text)}})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %s", err, c.want)
			}
		})
	}
	t.Run("RFC7517-5 keys of other kinds beside one that is known", func(t *testing.T) {
		ours, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		point, err := ours.PublicKey.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		text := fmt.Sprintf(`{"keys":[{"kty":"EC","crv":"P-521","x":"AQ","y":"AQ"},{"kty":"OKP","crv":"X25519","x":"AQ"},{"kty":"AKP","alg":"ML-DSA-44"},{"kty":"EC","crv":"P-256","alg":"ECDH-ES","x":%q,"y":%q},{"kty":"EC","crv":"P-256","x":%q,"y":%q}]}`,
			b64(point[1:33]), b64(point[33:]), b64(point[1:33]), b64(point[33:]))
		if list, err := parseKeys([]byte(text)); err != nil || len(list) != 1 || list[0].algorithm != "ES256" {
			t.Errorf("%+v, %v", list, err)
		}
	})
	t.Run("case 80: a secret that others may read", func(t *testing.T) {
		name := file(t, strings.Repeat("k", 32))
		if err := os.Chmod(name, 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := New(Options{JWT: &JWT{Keys: name}}); err == nil || !strings.Contains(err.Error(), "others may read") {
			t.Error(err)
		}
	})
}

func FuzzJWT(f *testing.F) {
	i := &issuer{secret: bytes.Repeat([]byte("k"), 32)}
	list, err := parseKeys(i.secret)
	if err != nil {
		f.Fatal(err)
	}
	k := &keys{userClaim: "sub", list: list}
	f.Add(i.sign(f, "HS256", `{"alg":"HS256"}`, `{"sub":"a","exp":1}`), `{"keys":[{"kty":"RSA","n":"AQ","e":"AQAB"}]}`)
	f.Add("eyJhbGciOiJub25lIn0..", "-----BEGIN PUBLIC KEY-----\n-----END PUBLIC KEY-----\n")
	f.Fuzz(func(t *testing.T, token, keyFile string) {
		if _, err := k.verify([]byte(token), time.Unix(0, 0)); err == nil {
			parts := strings.Split(token, ".")
			h := hmac.New(sha256.New, i.secret)
			h.Write([]byte(parts[0] + "." + parts[1]))
			if b64(h.Sum(nil)) != parts[2] {
				t.Fatalf("accepted %q", token)
			}
		}
		if list, err := parseKeys([]byte(keyFile)); err == nil {
			for _, k := range list {
				k.verify([]byte("x"), []byte(token)) // must not panic
			}
		}
	})
}
