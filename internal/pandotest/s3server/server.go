//go:build system

package s3server

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

// The credentials of an account that has of the bucket the rights that package blob
// asks for, and no other.
const (
	AccessKeyID     = "PANDOACCESSKEY"
	SecretAccessKey = "a secret / with + signs"
	Region          = "eu-test-2"
)

// Public is the prefix of what everybody may read without credentials.
const Public = "public"

// The credentials of the bucket's owner.
const (
	ownerID     = "OWNERACCESSKEY"
	ownerSecret = "the owner's secret"
)

// policy gives the account its rights, and everybody what is public.
const policy = `{"Version": "2012-10-17", "Statement": [
	{"Effect": "Allow", "Principal": {"AWS": "%[2]s"}, "Action": ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"], "Resource": "arn:aws:s3:::%[1]s/*"},
	{"Effect": "Allow", "Principal": {"AWS": "%[2]s"}, "Action": "s3:ListBucket", "Resource": "arn:aws:s3:::%[1]s"},
	{"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::%[1]s/%[3]s/*"}
]}`

// late is after how long a server that is not ready is taken to hang.
const late = time.Minute

// A Server is a process of versitygw, with one bucket. It is for one goroutine.
type Server struct {
	URL    string // the endpoint
	Bucket string

	binary, address, dir string
	process              *os.Process
	ended                chan struct{} // closed when the process has
}

// New starts a server with an empty bucket, which ends with the test.
func New(t testing.TB) *Server {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatalf("versitygw cannot be built: %v", err)
	}
	s := &Server{Bucket: "a-bucket", binary: path, address: address(t), dir: t.TempDir()}
	s.URL = "http://" + s.address
	for _, folder := range []string{s.accounts(), s.versions(), filepath.Join(s.buckets(), s.Bucket)} { // in it, a folder is a bucket
		if err := os.MkdirAll(folder, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		if s.process != nil {
			s.Kill(t)
		}
		if text, err := os.ReadFile(s.log()); err == nil && t.Failed() {
			t.Logf("versitygw's log ends with:\n%s", text[max(0, len(text)-4000):])
		}
	})
	s.Start(t)
	_, err = output(s.binary, "admin", "--access", ownerID, "--secret", ownerSecret, "--region", Region, "--endpoint-url", s.URL,
		"create-user", "--access", AccessKeyID, "--secret", SecretAccessKey, "--role", "user")
	if err != nil {
		t.Fatal(err)
	}
	if body, err := s.Curl("?policy=", "--request", "PUT", "--data-binary", fmt.Sprintf(policy, s.Bucket, AccessKeyID, Public)); err != nil {
		t.Fatalf("%v\n%s", err, body)
	}
	return s
}

func (s *Server) accounts() string { return filepath.Join(s.dir, "accounts") }
func (s *Server) buckets() string  { return filepath.Join(s.dir, "buckets") }
func (s *Server) versions() string { return filepath.Join(s.dir, "versions") }
func (s *Server) log() string      { return filepath.Join(s.dir, "log") }

// Lock gives the bucket object lock: for a day nobody can remove or change a version of
// an object.
func (s *Server) Lock(t testing.TB) {
	t.Helper()
	const lock = `<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled><Rule><DefaultRetention><Mode>COMPLIANCE</Mode><Days>1</Days></DefaultRetention></Rule></ObjectLockConfiguration>`
	sum := sha256.Sum256([]byte(lock))
	for _, args := range [][]string{
		{"?versioning=", "--data-binary", `<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>`},
		{"?object-lock=", "--data-binary", lock, "--header", "X-Amz-Checksum-Sha256: " + base64.StdEncoding.EncodeToString(sum[:])},
	} {
		if body, err := s.Curl(args[0], append(args[1:], "--request", "PUT")...); err != nil {
			t.Fatalf("%v\n%s", err, body)
		}
	}
}

// Curl has curl send a request about an object, or the bucket itself, as the bucket's
// owner, and returns the body of the answer, also of one that is an error.
func (s *Server) Curl(object string, args ...string) (string, error) {
	return output("curl", append([]string{"--silent", "--show-error", "--fail-with-body", "--aws-sigv4", "aws:amz:" + Region + ":s3", "--user", ownerID + ":" + ownerSecret,
		"--header", "X-Amz-Content-Sha256: UNSIGNED-PAYLOAD", s.URL + "/" + s.Bucket + "/" + object}, args...)...)
}

// address returns a loopback address with a port that nobody listens on, below those
// that the kernel gives to outgoing connections: nobody gets it while the server is
// down.
func address(t testing.TB) string {
	t.Helper()
	for range 100 {
		a := net.JoinHostPort("127.0.0.1", strconv.Itoa(10000+rand.IntN(10000)))
		if l, err := net.Listen("tcp", a); err == nil {
			l.Close()
			return a
		}
	}
	t.Fatal("no free port")
	return ""
}

// Start starts a server that was killed, at the same address and with what it had.
func (s *Server) Start(t testing.TB) {
	t.Helper()
	log, err := os.OpenFile(s.log(), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close() // the process has its own
	const health = "/healthz"
	cmd := exec.Command(s.binary, "--port", s.address, "--region", Region, "--keep-alive", "--health", health, "--iam-dir", s.accounts(), "posix", "--versioning-dir", s.versions(), s.buckets())
	cmd.Env = []string{"ROOT_ACCESS_KEY_ID=" + ownerID, "ROOT_SECRET_ACCESS_KEY=" + ownerSecret}
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	s.process, s.ended = cmd.Process, ended
	go func() {
		_ = cmd.Wait() // that it was killed is no news
		close(ended)
	}()
	client := http.Client{Timeout: time.Second}
	for begun := time.Now(); ; {
		if resp, err := client.Get(s.URL + health); err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return
			}
		}
		select {
		case <-ended:
			t.Fatalf("versitygw ended: %s", cmd.ProcessState)
		case <-time.After(10 * time.Millisecond):
		}
		if time.Since(begun) > late {
			t.Fatalf("versitygw is not ready after %s", late)
		}
	}
}

// Kill ends the server as a crash would, and waits until it is gone.
func (s *Server) Kill(t testing.TB) {
	t.Helper()
	if err := s.process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Fatal(err)
	}
	<-s.ended
}
