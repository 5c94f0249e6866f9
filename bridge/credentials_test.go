package bridge

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"strings"
	"testing"
	"time"

	"crypto"
)

func TestSAS(t *testing.T) {
	sign, err := SAS("dev 1", base64.StdEncoding.EncodeToString([]byte("secret")), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Unix(1_700_000_000, 0)
	got, until, err := sign("hub.azure-devices.net", now)
	// Computed with: printf 'hub.azure-devices.net%%2Fdevices%%2Fdev+1\n1700003600' | openssl dgst -sha256 -hmac secret -binary | base64
	const expected = "SharedAccessSignature sr=hub.azure-devices.net%2Fdevices%2Fdev+1&sig=iNQFSj10lx4uUJS1ZDaGLwsjRRpkfu4gnrsFbD2PgcU%3D&se=1700003600"
	if got != expected || !until.Equal(now.Add(time.Hour)) || err != nil {
		t.Errorf("got %s, %v, %v", got, until, err)
	}
	if sign, err = SAS("d/m", base64.StdEncoding.EncodeToString([]byte("secret")), time.Hour); err != nil {
		t.Fatal(err)
	}
	// As above, of hub.azure-devices.net%2Fdevices%2Fd%2Fmodules%2Fm.
	if got, _, _ := sign("hub.azure-devices.net", now); got != "SharedAccessSignature sr=hub.azure-devices.net%2Fdevices%2Fd%2Fmodules%2Fm&sig=6Ov%2Bw7eOQuvVhagoD7w4%2BbbrQXATV05EOgBHLzzVMlc%3D&se=1700003600" {
		t.Errorf("of a module: %s", got)
	}
	if hub := profiled(t, "azure-iot-hub"); !hub.Takes("devices/d/modules/m/messages/events/", "d/m") || hub.Takes("devices/d/m/messages/events/", "d/m") ||
		!taken(hub.Subscribe, "devices/d/modules/m/messages/inputs/a", "d/m") || taken(hub.Subscribe, "devices/d/modules/n/messages/inputs/a", "d/m") {
		t.Error("the topics of a module are not taken, or others")
	}
	if _, err := SAS("d", "not base64 at all!", 0); err == nil || strings.Contains(err.Error(), "at all") {
		t.Error(err)
	}
}

func TestJWT(t *testing.T) {
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	ecKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	encode := func(kind string, der []byte, err error) []byte {
		if err != nil {
			t.Fatal(err)
		}
		return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
	}
	pkcs8 := func(key any) []byte {
		der, err := x509.MarshalPKCS8PrivateKey(key)
		return encode("PRIVATE KEY", der, err)
	}
	ec, ecErr := x509.MarshalECPrivateKey(ecKey)
	for name, tc := range map[string]struct {
		key []byte
		alg string
	}{
		"RSA": {pkcs8(rsaKey), "RS256"}, "RSA, PKCS 1": {encode("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(rsaKey), nil), "RS256"},
		"ECDSA": {pkcs8(ecKey), "ES256"}, "ECDSA, SEC 1": {encode("EC PRIVATE KEY", ec, ecErr), "ES256"},
	} {
		sign, err := JWT(tc.key, Claims{Audience: "project", Subject: "gw"}, 20*time.Minute)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		now := time.Unix(1_700_000_000, 0)
		token, until, err := sign("host", now)
		parts := strings.Split(token, ".")
		if err != nil || len(parts) != 3 || !until.Equal(now.Add(20*time.Minute)) {
			t.Fatalf("%s: %s, %v", name, token, err)
		}
		var head, body map[string]any
		for i, into := range []*map[string]any{&head, &body} {
			b, _ := base64.RawURLEncoding.DecodeString(parts[i])
			if err := json.Unmarshal(b, into); err != nil {
				t.Errorf("%s: %s: %v", name, b, err)
			}
		}
		if head["alg"] != tc.alg || body["aud"] != "project" || body["sub"] != "gw" || body["iat"] != 1.7e9 || body["exp"] != 1.7e9+1200 || body["iss"] != nil {
			t.Errorf("%s: %v %v", name, head, body)
		}
		sig, _ := base64.RawURLEncoding.DecodeString(parts[2])
		sum := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
		ok := tc.alg == "RS256" && rsa.VerifyPKCS1v15(&rsaKey.PublicKey, crypto.SHA256, sum[:], sig) == nil ||
			tc.alg == "ES256" && len(sig) == 64 && ecdsa.Verify(&ecKey.PublicKey, sum[:], new(big.Int).SetBytes(sig[:32]), new(big.Int).SetBytes(sig[32:]))
		if !ok {
			t.Errorf("%s: the signature is wrong", name)
		}
	}
	for name, key := range map[string][]byte{"P-384": pkcs8(p384), "no PEM": []byte("x"), "no key": encode("PRIVATE KEY", []byte("x"), nil)} {
		if _, err := JWT(key, Claims{}, 0); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
	if _, err := JWT(pkcs8(ecKey), Claims{Audience: `a"b`}, 0); err == nil {
		t.Error("a claim that would break the token was taken")
	}
}
