package server

import (
	"context"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/pando-pki/pando/internal/alarm"
	"github.com/pando-pki/pando/internal/anchor"
	"github.com/pando-pki/pando/internal/audit"
	"github.com/pando-pki/pando/internal/auditlog"
	"github.com/pando-pki/pando/internal/blob"
	"github.com/pando-pki/pando/internal/egress"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/signer"
)

// check reports as Malformed what no server can run with.
func (a Audit) check() error {
	if len(a.Anchors) == 0 {
		return pki.Errorf(pki.Malformed, "audit.anchors: an empty list: without an anchor the log can be rewritten unseen. Write one that whoever can write to the database cannot reach: [{file: DIRECTORY}] on another machine's disk, [{webhook: URL}] or [{bucket: ...}]")
	}
	hosts := make(map[string]bool)
	for i, x := range a.Anchors {
		err := x.check()
		if u, bad := url.Parse(x.Webhook); err == nil && bad == nil && u.Host != "" {
			if hosts[u.Host] {
				err = pki.Errorf(pki.Malformed, "%s has another webhook: alarms tell webhooks apart by their hosts, and one host is one anchor", u.Host)
			}
			hosts[u.Host] = true
		}
		if err != nil {
			return pki.Errorf(pki.Malformed, "audit.anchors, the %d. one: %s", i+1, pki.DetailOf(err))
		}
	}
	if every := time.Duration(a.AnchorEvery); every < 10*time.Second || 2*every > time.Duration(a.AnchorBound) {
		return pki.Errorf(pki.Malformed, "audit.anchor_every %s, audit.anchor_bound %s: the first is 10s at least, and the second twice that at least", every, time.Duration(a.AnchorBound))
	}
	return nil
}

func (a Anchor) check() error {
	kinds := 0
	for _, is := range []bool{a.File != "", a.Webhook != "", a.Bucket != nil} {
		if is {
			kinds++
		}
	}
	switch {
	case kinds != 1:
		return pki.Errorf(pki.Malformed, "name one of file, webhook and bucket")
	case a.Webhook == "" && a.Secret != "":
		return pki.Errorf(pki.Malformed, "secret belongs to a webhook")
	case a.Webhook == "" && a.Read:
		return pki.Errorf(pki.Malformed, "read belongs to a webhook")
	case a.Webhook != "":
		if err := checkSecretSource(a.Secret); err != nil {
			return err
		}
		return egress.CheckURL(a.Webhook)
	case a.Bucket != nil:
		return a.Bucket.config("").Check()
	}
	return nil
}

// checkSecretSource does not repeat what was given: it may be the secret itself.
func checkSecretSource(source string) error {
	from, name, _ := strings.Cut(source, ":")
	if source != "" && (from != "file" && from != "env" || name == "") {
		return pki.Errorf(pki.Malformed, "the secret of a service comes from file:PATH or env:NAME")
	}
	return nil
}

// openAudit compares the store with its anchors and makes the service that runs
// the logs.
func (s *Server) openAudit(ctx context.Context, keys *signer.Signer, gate *audit.Gate, archives auditlog.Archives) error {
	var anchors []auditlog.Anchor
	for _, a := range s.cfg.Audit.Anchors {
		opened, err := s.openAnchor(a)
		if err != nil {
			return err
		}
		anchors = append(anchors, opened)
	}
	s.warnAnchors()
	var err error
	s.audit, err = auditlog.New(ctx, auditlog.Config{
		Store: s.store, Keys: keys, Node: s.cfg.Node, Now: s.now, Log: s.log, Alarms: s.alarms, Gate: gate, Archives: archives,
		Anchors: anchors, Every: time.Duration(s.cfg.Audit.AnchorEvery), Bound: time.Duration(s.cfg.Audit.AnchorBound),
	})
	return err
}

func (s *Server) openAnchor(a Anchor) (auditlog.Anchor, error) {
	switch {
	case a.Webhook != "":
		secret, err := s.secretFrom(a.Secret, "a webhook in audit.anchors")
		if err != nil {
			return nil, err
		}
		webhook, err := anchor.NewWebhook(a.Webhook, secret)
		if err != nil || !a.Read {
			return webhook, err
		}
		return anchor.ReadableWebhook{Webhook: webhook}, nil
	case a.Bucket != nil:
		bucket, err := blob.OpenBucket(a.Bucket.config(s.cfg.Data))
		if err != nil {
			return nil, err
		}
		return anchor.NewBucket(bucket), nil
	default:
		return anchor.NewFile(s.path(a.File)), nil
	}
}

// path returns a path of the configuration, a relative one from the data directory.
func (s *Server) path(path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(s.cfg.Data, path)
}

// maxSecret bounds the secret of a service, in bytes.
const maxSecret = 4 << 10

// secretFrom returns the secret of a service, which where says, from file:PATH or env:NAME,
// and none where the source says nothing.
func (s *Server) secretFrom(source, where string) (pki.Secret, error) {
	from, name, _ := strings.Cut(source, ":")
	var text string
	switch from {
	case "env":
		text = os.Getenv(name)
	case "file":
		b, err := os.ReadFile(s.path(name))
		if err != nil {
			return pki.Secret{}, pki.Because(pki.Unavailable, err, "the secret of %s cannot be read", where)
		}
		text = string(b)
	default:
		return pki.Secret{}, nil
	}
	if text = strings.TrimSpace(text); text == "" || len(text) > maxSecret {
		return pki.Secret{}, pki.Errorf(pki.Unavailable, "the secret of %s is empty, or longer than %d bytes", where, maxSecret)
	}
	return pki.NewSecret(text), nil
}

// warnAnchors says loudly what anchors do not protect against by where they are.
func (s *Server) warnAnchors() {
	away, read := false, false
	for _, a := range s.cfg.Audit.Anchors {
		if a.File != "" && deviceOf(s.path(a.File)) == deviceOf(s.cfg.Data) {
			continue
		}
		away = true
		read = read || a.Webhook == "" || a.Read
	}
	a := alarm.Alarm{
		Key: alarm.Key{Name: "anchor.near"}, Severity: alarm.Warning,
		What: "every anchor of the audit log is on the disk of the database: whoever can write to one can write to both, and rewrite history unseen",
		Do:   "Name a place in audit.anchors in pando.yaml that this machine's administrators cannot rewrite: a webhook, a bucket with object lock, a directory of another host. docs/operator/audit.md says how.",
	}
	switch {
	case away && read:
		return
	case away:
		a.Key.Name = "anchor.blind"
		a.What = "no anchor of the audit log away from the database's disk can be read: a database that is put back with its disk from an older copy starts as if nothing had happened"
		a.Do = "Have the webhook's service give back what it took, and say so with 'read: true' in audit.anchors in pando.yaml, or name a bucket or a directory of another host, too. docs/operator/audit.md says how."
	}
	s.alarms.Raise(a)
	s.log.Warn(a.What, "do", a.Do)
}

// deviceOf returns the device of a file system that has a path, or the directory
// above it; 0 where it cannot be told.
func deviceOf(path string) uint64 {
	for _, p := range []string{path, filepath.Dir(path)} {
		if info, err := os.Stat(p); err == nil {
			if st, ok := info.Sys().(*syscall.Stat_t); ok {
				return uint64(st.Dev)
			}
		}
	}
	return 0
}
