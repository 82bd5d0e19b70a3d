//go:build system

package acceptance

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestTarget spoils what is published to a directory under a running server. What can be
// put back is, by itself; what cannot be read or removed is told of by its name, and keeps
// nothing else from being looked at.
func TestTarget(t *testing.T) {
	h := newHouse(t, 2)
	target := t.TempDir()
	h.configure(t, "  check_every: 1s\n  publish:\n    - {name: web, directory: "+target+"}\n")
	h.serve(t)
	at := func(url string) string { return filepath.Join(target, strings.TrimPrefix(url, h.file.HTTP)) }
	meter := readCertificates(t, h.file.Samples.Good)[0]
	crl, own := at(meter.CRLDistributionPoints[0]), at(meter.IssuingCertificateURL[0])
	root := at(readCertificates(t, h.file.Authorities["manufacturing"].Chain)[0].IssuingCertificateURL[0])
	until := func(what string, done func() bool) {
		t.Helper()
		for begun := time.Now(); !done(); time.Sleep(pause) {
			if time.Since(begun) > hung {
				t.Fatalf("%s: not after %s; alarms %v", what, hung, h.alarms(t))
			}
		}
	}
	file := func(path string) []byte {
		content, _ := os.ReadFile(path)
		return content
	}
	is := func(path string) func() bool {
		want := file(path)
		return func() bool {
			info, err := os.Lstat(path)
			return err == nil && info.Mode().IsRegular() && bytes.Equal(file(path), want)
		}
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, path := range []string{crl, own, root} {
		until(path+" is published", func() bool { return len(file(path)) > 0 })
	}
	ownBack, rootBack := is(own), is(root)

	must(os.Remove(crl))
	must(os.Symlink(h.file.Root, crl))
	until("a link in the place of a CRL is replaced", func() bool {
		info, err := os.Lstat(crl)
		return err == nil && info.Mode().IsRegular()
	})
	must(os.RemoveAll(filepath.Join(target, "ca")))
	until("certificates are there again", func() bool { return ownBack() && rootBack() })

	must(os.Remove(crl))
	must(os.MkdirAll(filepath.Join(crl, "full"), 0o755))
	until("a directory in the place of a CRL is told of", func() bool { return h.alarms(t)["crl.wrong"].Name != "" })
	first := h.alarms(t)["crl.wrong"]
	must(os.WriteFile(own, []byte("<html>"), 0o600))
	must(os.WriteFile(root, []byte("<html>"), 0o600))
	until("certificates beside it are there again", func() bool { return ownBack() && rootBack() })
	until("their alarms are over", func() bool { return h.alarms(t)["ca.wrong"].Name == "" })
	now := h.alarms(t)
	if a := now["crl.wrong"]; !strings.Contains(a.Target, strings.TrimPrefix(crl, target+"/")) || !a.Since.Equal(first.Since) || a.Severity != "critical" {
		t.Errorf("the alarm was %+v, and is %+v", first, a)
	}
	if a := now["publish.refused"]; !strings.Contains(a.What, "not a file") {
		t.Errorf("the publisher's alarm is %+v", a)
	}
	if a, ok := now["status.unreachable"]; ok {
		t.Errorf("the target is taken for unreachable: %+v", a)
	}
	must(os.RemoveAll(crl))
	until("all is well again", func() bool { return len(file(crl)) > 0 && h.alarms(t)["crl.wrong"].Name == "" })
	h.stop(t)
	h.check(t, "")
}
