package control

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// testCA issues certificates.
type testCA struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	file string
	next int64
}

func writePEM(t testing.TB, name, kind string, der []byte) {
	t.Helper()
	if err := os.WriteFile(name, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
}

func newCA(t testing.TB, dir, name string) *testCA {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	ca := &testCA{key: key, file: filepath.Join(dir, name+".crt"), next: 100}
	if ca.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	writePEM(t, ca.file, "CERTIFICATE", der)
	return ca
}

// issue writes a certificate and its key and returns the files.
func (ca *testCA) issue(t testing.TB, dir, name string) (certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ca.next++
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(ca.next), Subject: pkix.Name{CommonName: name}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, ca.cert, &key.PublicKey, ca.key)
	if err != nil {
		t.Fatal(err)
	}
	k, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certFile, keyFile = filepath.Join(dir, name+".crt"), filepath.Join(dir, name+".key")
	writePEM(t, certFile, "CERTIFICATE", der)
	writePEM(t, keyFile, "PRIVATE KEY", k)
	return certFile, keyFile
}

func clientTLS(t testing.TB, ca, cert, key string) *tls.Config {
	t.Helper()
	c, err := ClientTLS(ca, cert, key)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestHTTPS(t *testing.T) {
	dir := t.TempDir()
	ca, other := newCA(t, dir, "ca"), newCA(t, dir, "other-ca")
	cert, key := ca.issue(t, dir, "server")
	stork, storkKey := ca.issue(t, dir, "stork")
	foreign, foreignKey := other.issue(t, dir, "foreign")

	cfg := SocketConfig{Type: TypeHTTPS, Address: "127.0.0.1", TLS: &TLS{TrustAnchor: ca.file, CertFile: cert, KeyFile: key, CertRequired: true}}
	ch, cl := serve(t, newRegistry(t, RegistryOptions{}), Options{}, cfg)
	cl.Target = "https://" + ch.Addr(cfg).String()

	cl.TLS = clientTLS(t, ca.file, stork, storkKey)
	if a := mustDo(t, cl, "who", ""); !strings.HasPrefix(a.Text, "https:cn=stork@127.0.0.1:") {
		t.Errorf("%s", a.Raw)
	}
	refused := func(what string, c *tls.Config) {
		t.Helper()
		cl.TLS = c
		if a, err := cl.Do(context.Background(), "echo", nil); err == nil {
			t.Errorf("%s was answered: %s", what, a.Raw)
		}
	}
	refused("a client without certificate", clientTLS(t, ca.file, "", ""))
	refused("a client of another CA", clientTLS(t, ca.file, foreign, foreignKey))
	refused("TLS 1.1", &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10})
	refused("a server of another CA", clientTLS(t, other.file, stork, storkKey))
	if s := ch.Stats(); s.Commands != 1 {
		t.Errorf("%d commands, want 1", s.Commands)
	}
	// HTTP in the clear is told so, and nothing is run.
	if status, _, _ := post(t, "POST", "http://"+ch.Addr(cfg).String(), "application/json", `{"command":"set"}`, nil); status != http.StatusBadRequest {
		t.Errorf("clear text: status %d", status)
	}

	// Without cert-required nobody needs a certificate; certificates of strangers
	// are not looked at, nor believed. Basic authentication holds.
	cfg.TLS = &TLS{TrustAnchor: dir, CertFile: cert, KeyFile: key}
	cfg.Users = []User{{"admin", "s:cret"}}
	if err := ch.Apply([]SocketConfig{cfg}); err != nil {
		t.Fatal(err)
	}
	cl.TLS = clientTLS(t, ca.file, foreign, foreignKey)
	if a := mustDo(t, cl, "who", ""); string(a.Raw) != `{ "result": 401, "text": "Unauthorized" }` {
		t.Errorf("%s", a.Raw)
	}
	cl.User, cl.Password = "admin", "s:cret"
	if a := mustDo(t, cl, "who", ""); !strings.HasPrefix(a.Text, "https:admin@127.0.0.1:") {
		t.Errorf("%s", a.Raw)
	}
}

// A renewed certificate is taken up by the next Apply, a broken one refused with
// everything left as it was; a port does not change what it speaks.
func TestHTTPSReload(t *testing.T) {
	dir := t.TempDir()
	ca := newCA(t, dir, "ca")
	cert, key := ca.issue(t, dir, "server")
	cfg := SocketConfig{Type: TypeHTTPS, Address: "127.0.0.1", TLS: &TLS{TrustAnchor: ca.file, CertFile: cert, KeyFile: key}}
	ch, _ := serve(t, newRegistry(t, RegistryOptions{}), Options{}, cfg)
	addr := ch.Addr(cfg).String()
	serial := func() int64 {
		t.Helper()
		c, err := tls.Dial("tcp", addr, clientTLS(t, ca.file, "", ""))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		return c.ConnectionState().PeerCertificates[0].SerialNumber.Int64()
	}
	if n := serial(); n != 101 {
		t.Errorf("serial %d, want 101", n)
	}
	ca.issue(t, dir, "server")
	if n := serial(); n != 101 {
		t.Errorf("serial %d before Apply, want 101", n)
	}
	if err := ch.Apply([]SocketConfig{cfg}); err != nil {
		t.Fatal(err)
	}
	if n := serial(); n != 102 {
		t.Errorf("serial %d after Apply, want 102", n)
	}

	if err := os.WriteFile(key, []byte("-----BEGIN nonsense"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := ch.Apply([]SocketConfig{cfg}); err == nil || !strings.Contains(err.Error(), key) {
		t.Errorf("broken key: %v", err)
	}
	if n := serial(); n != 102 {
		t.Errorf("serial %d after a refused Apply, want 102", n)
	}
	plain := cfg
	plain.Type, plain.TLS = TypeHTTP, nil
	if err := ch.Apply([]SocketConfig{plain}); err == nil || !strings.Contains(err.Error(), "cannot change from https to http") {
		t.Errorf("https to http: %v", err)
	}
}

func TestTLSFiles(t *testing.T) {
	dir := t.TempDir()
	ca := newCA(t, dir, "ca")
	cert, key := ca.issue(t, dir, "server")
	_, otherKey := ca.issue(t, dir, "other")
	empty := filepath.Join(dir, "empty")
	if err := os.Mkdir(empty, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		tls  TLS
		want string // "" is valid
	}{
		{"valid", TLS{ca.file, cert, key, true}, ""},
		{"directory", TLS{dir, cert, key, true}, ""},
		{"no anchor", TLS{"", cert, key, true}, "must all be given"},
		{"no certificate", TLS{ca.file, "", key, true}, "must all be given"},
		{"no key", TLS{ca.file, cert, "", true}, "must all be given"},
		{"missing anchor", TLS{dir + "/none", cert, key, true}, "read trust-anchor: "},
		{"anchor without certificate", TLS{key, cert, key, true}, "holds no certificate"},
		{"empty directory", TLS{empty, cert, key, true}, "holds no certificate"},
		{"missing certificate", TLS{ca.file, dir + "/none", key, true}, "read cert-file: "},
		{"missing key", TLS{ca.file, cert, dir + "/none", true}, "read key-file: "},
		{"key is a directory", TLS{ca.file, cert, dir, true}, "is no regular file"},
		{"key of another", TLS{ca.file, cert, otherKey, true}, "join cert-file"},
	} {
		err := c.tls.Validate()
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	if _, err := ClientTLS(ca.file, cert, ""); err == nil {
		t.Error("a client certificate without key was taken")
	}
}
