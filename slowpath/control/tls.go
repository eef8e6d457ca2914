package control

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// TLS is what an https socket needs (CC-004). All three files are PEM.
type TLS struct {
	// TrustAnchor is a file of CA certificates, or a directory of such files,
	// against which client certificates are verified.
	TrustAnchor string
	// CertFile may hold the certificates of intermediate CAs after the server's.
	CertFile, KeyFile string
	// CertRequired says that only clients with a certificate of a trusted CA are
	// served; without it none is asked for, as in Kea.
	CertRequired bool
}

// maxPEMFile is the longest file of certificates that is read, in octets, and
// maxTrustFiles how many files a directory of them may have.
const (
	maxPEMFile    = 4 << 20
	maxTrustFiles = 4096
)

// Validate reads the files and says what is wrong with them.
func (t *TLS) Validate() error {
	_, err := t.load()
	return err
}

// load reads the files.
func (t *TLS) load() (*tls.Config, error) {
	if t == nil || t.TrustAnchor == "" || t.CertFile == "" || t.KeyFile == "" {
		return nil, errors.New("https control socket: trust-anchor, cert-file and key-file must all be given")
	}
	pool, err := trustPool(t.TrustAnchor)
	if err != nil {
		return nil, fmt.Errorf("read trust-anchor: %w", err)
	}
	certPEM, err := readPEM(t.CertFile)
	if err != nil {
		return nil, fmt.Errorf("read cert-file: %w", err)
	}
	keyPEM, err := readPEM(t.KeyFile)
	if err != nil {
		return nil, fmt.Errorf("read key-file: %w", err)
	}
	cert, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		return nil, fmt.Errorf("join cert-file %s and key-file %s: %w", t.CertFile, t.KeyFile, err)
	}
	c := &tls.Config{
		MinVersion:   tls.VersionTLS12,
		Certificates: []tls.Certificate{cert},
		NextProtos:   []string{"http/1.1"},
	}
	if t.CertRequired {
		c.ClientAuth, c.ClientCAs = tls.RequireAndVerifyClientCert, pool
	}
	return c, nil
}

// trustPool reads the CA certificates of a file or of a directory of files,
// such as openssl's c_rehash makes.
func trustPool(path string) (*x509.CertPool, error) {
	pool := x509.NewCertPool()
	st, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !st.IsDir() {
		pem, err := readPEM(path)
		if err != nil {
			return nil, err
		}
		if !pool.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s holds no certificate", path)
		}
		return pool, nil
	}
	list, err := os.ReadDir(path)
	if err != nil {
		return nil, err
	}
	if len(list) > maxTrustFiles {
		return nil, fmt.Errorf("%s holds %d files, more than %d", path, len(list), maxTrustFiles)
	}
	any := false
	for _, e := range list {
		name := filepath.Join(path, e.Name())
		if st, err := os.Stat(name); err != nil || !st.Mode().IsRegular() {
			continue // a dangling link of c_rehash, a directory
		}
		pem, err := readPEM(name)
		if err != nil {
			return nil, err
		}
		any = pool.AppendCertsFromPEM(pem) || any // other files may lie there
	}
	if !any {
		return nil, fmt.Errorf("%s holds no certificate", path)
	}
	return pool, nil
}

func readPEM(name string) ([]byte, error) {
	st, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if !st.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is no regular file", name)
	}
	if st.Size() > maxPEMFile {
		return nil, fmt.Errorf("%s has %d bytes, at most %d are read", name, st.Size(), maxPEMFile)
	}
	return os.ReadFile(name)
}

// ClientTLS returns the TLS side of a Client from PEM files: caFile (a file or a
// directory, "" for the system's CAs), and the client's certificate and key (""
// for none).
func ClientTLS(caFile, certFile, keyFile string) (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if caFile != "" {
		pool, err := trustPool(caFile)
		if err != nil {
			return nil, fmt.Errorf("read CA certificates: %w", err)
		}
		c.RootCAs = pool
	}
	if (certFile == "") != (keyFile == "") {
		return nil, errors.New("a client certificate and its key must be given together")
	}
	if certFile != "" {
		certPEM, err := readPEM(certFile)
		if err != nil {
			return nil, fmt.Errorf("read certificate: %w", err)
		}
		keyPEM, err := readPEM(keyFile)
		if err != nil {
			return nil, fmt.Errorf("read key: %w", err)
		}
		cert, err := tls.X509KeyPair(certPEM, keyPEM)
		if err != nil {
			return nil, fmt.Errorf("join certificate %s and key %s: %w", certFile, keyFile, err)
		}
		c.Certificates = []tls.Certificate{cert}
	}
	return c, nil
}
