package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dunlin-mqtt/dunlin/config"
)

// What a service would refuse is found by its place before anything runs.
func TestCheckAppliesProfiles(t *testing.T) {
	file := filepath.Join(t.TempDir(), "dunlin.yaml")
	for text, wanted := range map[string]string{
		"bridges: {cloud: {servers: [\"mqtts://hub.azure-devices.net\"], profile: azure-iot-hub, client_id: dev1, credentials: {sas: c2VjcmV0}, out: [{from: a/#, to: devices/dev1/messages/events/#}]}}": "",
		"bridges: {cloud: {servers: [\"mqtts://hub.azure-devices.net\"], profile: azure-iot-hub, credentials: {sas: c2VjcmV0},\n  out: [{from: a/#}]}}":                                                   "2:9: error: azure-iot-hub takes no messages on \"a/#\"",
		"bridges: {cloud: {servers: [\"mqtts://x\"], profile: nats, protocol: \"5\", out: [{from: a}]}}":                                                                                                  "1:68: error: nats does not speak MQTT 5",
		"bridges: {cloud: {servers: [\"mqtts://x\"], profile: aws-iot, out: [{from: a}]}}":                                                                                                                "aws-iot lets nobody in without credentials",
		"bridges: {cloud: {servers: [\"mqtts://x\"], credentials: {sas: \"%\"}, out: [{from: a}]}}":                                                                                                       "sas: the key is not in base64",
		"bridges: {cloud: {servers: [\"mqtts://x\"], credentials: {jwt: {key: nowhere.pem}}, out: [{from: a}]}}":                                                                                          "jwt: open ",
	} {
		if err := os.WriteFile(file, []byte(text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		r := checkFile(file)
		said := r.errors.Error()
		if len(r.errors) == 0 {
			said = ""
		}
		if (said == "") != (wanted == "") || !strings.Contains(said, wanted) {
			t.Errorf("%s:\ngot  %q\nwant %q", text, said, wanted)
		}
	}
}

// The key that signs tokens may be replaced while the gateway runs, as
// certificates may.
func TestTokensAreSignedWithTheKeyOfNow(t *testing.T) {
	file := filepath.Join(t.TempDir(), "gw.key")
	renew := func() *ecdsa.PublicKey {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		der, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
		return &key.PublicKey
	}
	public := renew()
	sign, err := bridgeSigner(&config.Bridge{Credentials: config.Credentials{JWT: &config.SignedToken{Key: config.Path(file)}}})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		token, _, err := sign("host", time.Now())
		if err != nil {
			t.Fatal(err)
		}
		dot := strings.LastIndexByte(token, '.')
		sum := sha256.Sum256([]byte(token[:dot]))
		sig, err := base64.RawURLEncoding.DecodeString(token[dot+1:])
		if err != nil || len(sig) != 64 || !ecdsa.Verify(public, sum[:], new(big.Int).SetBytes(sig[:32]), new(big.Int).SetBytes(sig[32:])) {
			t.Errorf("%s is not signed with the key in the file", token)
		}
		public = renew()
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if _, _, err := sign("host", time.Now()); err == nil {
		t.Error("signed with a key that is gone")
	}
}
