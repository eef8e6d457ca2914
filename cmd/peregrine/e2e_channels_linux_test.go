package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// authority issues the certificates of a test.
type authority struct {
	t      *testing.T
	dir    string
	cert   *x509.Certificate
	key    *ecdsa.PrivateKey
	serial int64
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{t: t, dir: tempDir(t)}
	a.issue("ca", "the authority")
	return a
}

// issue writes NAME.pem and NAME.key and returns their paths; the first
// certificate is the authority's own.
func (a *authority) issue(name, common string) (cert, key string) {
	a.t.Helper()
	a.serial++
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(a.serial), Subject: pkix.Name{CommonName: common}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}}
	parent, signer := a.cert, a.key
	if parent == nil {
		tmpl.IsCA, tmpl.KeyUsage, tmpl.ExtKeyUsage = true, x509.KeyUsageCertSign, nil
		parent, signer = tmpl, k
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, parent, &k.PublicKey, signer)
	if err != nil {
		a.t.Fatal(err)
	}
	if a.cert == nil {
		if a.cert, err = x509.ParseCertificate(der); err != nil {
			a.t.Fatal(err)
		}
		a.key = k
	}
	private, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		a.t.Fatal(err)
	}
	cert, key = filepath.Join(a.dir, name+".pem"), filepath.Join(a.dir, name+".key")
	for path, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			a.t.Fatal(err)
		}
	}
	return cert, key
}

// talk sends octets to a port of the server's, by TLS if cfg is not nil, and
// returns the answer and the common name of the server's certificate.
func (b *bed) talk(port int, cfg *tls.Config, request string) (answer, name string, err error) {
	b.t.Helper()
	var c net.Conn
	err = b.srv.In(func() (err error) {
		c, err = (&net.Dialer{Timeout: patience}).DialContext(context.Background(), "tcp", fmt.Sprintf("127.0.0.1:%d", port))
		return err
	})
	if err != nil {
		return "", "", err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		return "", "", err
	}
	if cfg != nil {
		tc := tls.Client(c, cfg)
		if err := tc.Handshake(); err != nil {
			return "", "", err
		}
		name, c = tc.ConnectionState().PeerCertificates[0].Subject.CommonName, tc
	}
	if _, err := c.Write([]byte(request)); err != nil {
		return "", name, err
	}
	var out bytes.Buffer
	_, err = out.ReadFrom(c)
	return out.String(), name, err
}

// TestChannels: a unix socket, HTTP with passwords from files, and HTTPS with
// client certificates, all at once; a renewed certificate is taken up by SIGHUP,
// and one that cannot be used leaves the old one in place (CC-001 to CC-005).
func TestChannels(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	ca := newAuthority(t)
	cert, key := ca.issue("server", "first")
	clientCert, clientKey := ca.issue("client", "operator")
	b.file("password", "a long one\n", 0o600)
	b.file("both", "joe:another one", 0o600)
	c := b.newConf("socket")
	authentication := object{"type": "basic", "realm": "the lab", "directory": b.dir, "clients": []any{
		object{"user": "admin", "password-file": "password"}, object{"password-file": "both"}}}
	secure := object{"socket-type": "https", "socket-address": "127.0.0.1", "trust-anchor": filepath.Join(ca.dir, "ca.pem"), "cert-file": cert, "key-file": key}
	with := func(more object) object {
		o := object{}
		for _, m := range []object{secure, more} {
			for k, v := range m {
				o[k] = v
			}
		}
		return o
	}
	c.dhcp4["control-sockets"] = []any{
		object{"socket-type": "unix", "socket-name": b.socket},
		object{"socket-type": "http", "socket-address": "127.0.0.1", "socket-port": 8001, "authentication": authentication,
			"http-headers": []any{object{"name": "Strict-Transport-Security", "value": "max-age=31536000"}}},
		with(object{"socket-port": 8443}),
		with(object{"socket-port": 8444, "cert-required": false, "authentication": authentication}),
	}
	b.write(c)
	b.start("-X") // the user's name is in the configuration
	roots := x509.NewCertPool()
	roots.AddCert(ca.cert)
	pair, err := tls.LoadX509KeyPair(clientCert, clientKey)
	if err != nil {
		t.Fatal(err)
	}
	without := &tls.Config{RootCAs: roots, ServerName: "127.0.0.1"}
	certified := &tls.Config{RootCAs: roots, ServerName: "127.0.0.1", Certificates: []tls.Certificate{pair}}
	request := func(headers string) string {
		const body = `{ "command": "dhcp-enable", "service": [ "dhcp4" ] }`
		return fmt.Sprintf("POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\n%sContent-Length: %d\r\n\r\n%s", headers, len(body), body)
	}
	const admin, joe, wrong = "Authorization: Basic YWRtaW46YSBsb25nIG9uZQ==\r\n", "Authorization: Basic am9lOmFub3RoZXIgb25l\r\n", "Authorization: Basic am9lOmEgbG9uZyBvbmU=\r\n"
	for _, x := range []struct {
		what    string
		port    int
		tls     *tls.Config
		headers string
		want    []string // of the answer, nil: no connection
	}{
		{"a password from a file", 8001, nil, admin, []string{"200 OK", "Strict-Transport-Security: max-age=31536000", `[ { "result": 0`}},
		{"user and password from a file", 8001, nil, joe, []string{"200 OK", `"result": 0`}},
		{"somebody else's password", 8001, nil, wrong, []string{"401 Unauthorized", `Basic realm="the lab"`, "Strict-Transport-Security", `{ "result": 401, "text": "Unauthorized" }`}},
		{"no password", 8001, nil, "", []string{"401 Unauthorized", `Basic realm="the lab"`}},
		{"a certificate", 8443, certified, "", []string{"200 OK", `[ { "result": 0`}},
		{"no certificate", 8443, without, "", nil},
		{"no certificate where none is required", 8444, without, admin, []string{"200 OK", `"result": 0`}},
		{"a certificate in place of a password", 8444, certified, "", []string{"401 Unauthorized"}},
		{"HTTP where HTTPS is", 8443, nil, "", []string{"400 Bad Request"}},
	} {
		answer, _, err := b.talk(x.port, x.tls, request(x.headers))
		if x.want == nil {
			if err == nil {
				t.Errorf("%s: %s", x.what, answer)
			}
			continue
		}
		for _, w := range x.want {
			if !strings.Contains(answer, w) {
				t.Errorf("%s: %v, %q; want %q", x.what, err, answer, w)
			}
		}
	}
	b.command("dhcp-enable", nil, nil)
	for _, who := range []string{`from=http:admin@127\.0\.0\.1:\d+`, `from=http:joe@127\.0\.0\.1:\d+`, `from="https:cn=operator@127\.0\.0\.1:\d+`, `from=https:admin@127\.0\.0\.1:\d+`, `from="unix:uid=\d+,pid=\d+`} {
		if b.logs(`COMMAND_RECEIVED .*'dhcp-enable'.*`+who) != 1 {
			t.Errorf("the log does not say who gave a command: want %s\n%s", who, b.p.text())
		}
	}
	if s := b.p.text(); strings.Contains(s, "a long one") || strings.Contains(s, "another one") {
		t.Error("the log shows a password")
	}

	served := func() string {
		_, name, err := b.talk(8443, certified, request(""))
		if err != nil {
			t.Errorf("after SIGHUP: %v", err)
		}
		return name
	}
	ca.issue("server", "second")
	if name := served(); name != "first" {
		t.Errorf("the certificate is %q without SIGHUP", name)
	}
	b.p.signal(syscall.SIGHUP)
	until(t, "the renewed certificate to be served", func() bool { return served() == "second" })
	if err := os.WriteFile(cert, []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	b.p.signal(syscall.SIGHUP)
	until(t, "SIGHUP to be refused", func() bool { return b.logs(`DHCP4_DYNAMIC_RECONFIGURATION_FAIL`) == 1 })
	if name := served(); name != "second" {
		t.Errorf("after a bad certificate that of %q is served", name)
	}
	b.p.terminate()
}
