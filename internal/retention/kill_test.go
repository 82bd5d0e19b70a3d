package retention_test

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/pando-pki/pando/internal/alarm"
	"github.com/pando-pki/pando/internal/audit"
	"github.com/pando-pki/pando/internal/blob"
	"github.com/pando-pki/pando/internal/check"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/retention"
	"github.com/pando-pki/pando/internal/store/sqlstore"
)

// The environment of a process that is to die.
const (
	killDir = "PANDO_TEST_KILL_DIR"
	killAt  = "PANDO_TEST_KILL_AT"
)

// A dying store ends the process with SIGKILL at one moment.
type dying struct {
	retention.Store
	at string
}

func die() {
	syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {}
}

func (d *dying) ArchiveWritten(ctx context.Context, a *retention.Archive, e pki.Event) error {
	if d.at == "created" {
		die()
	}
	err := d.Store.ArchiveWritten(ctx, a, e)
	if d.at == "recorded" {
		die()
	}
	return err
}

func (d *dying) Remove(ctx context.Context, a *retention.Archive, entries []retention.Entry) (int, error) {
	held, err := d.Store.Remove(ctx, a, entries)
	if d.at == "removing" {
		die()
	}
	return held, err
}

func (d *dying) ArchiveDone(ctx context.Context, a *retention.Archive, now time.Time) error {
	if d.at == "removed" {
		die()
	}
	return d.Store.ArchiveDone(ctx, a, now)
}

// mortal is more than one transaction takes out.
const mortal = 205

// TestKilled kills a process with SIGKILL between the object and its record, between
// the record and the rows, among the rows, and before the end. At each of these
// moments nothing is lost, and the next round makes no second archive of it.
func TestKilled(t *testing.T) {
	if dir := os.Getenv(killDir); dir != "" {
		p := newPlantIn(t, mortal, dir)
		p.set(30 * day)
		s := retention.New(retention.Config{Store: &dying{Store: p.Store, at: os.Getenv(killAt)}, Objects: p.Archives, Hashes: p.log.Hashes, Requests: p.Batch.Requests,
			Time: p.Issuance.Time, Alarms: p.Alarms, Now: p.clock.Now, Log: slog.New(slog.DiscardHandler)})
		t.Fatalf("it lives: %v", s.Round(t.Context(), "acme"))
	}
	for _, at := range []string{"created", "recorded", "removing", "removed"} {
		t.Run(at, func(t *testing.T) {
			dir := t.TempDir()
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestKilled$")
			cmd.Env = append(os.Environ(), killDir+"="+dir, killAt+"="+at, "TMPDIR="+dir) // which it cannot tidy up
			out, err := cmd.CombinedOutput()
			exit, ok := errors.AsType[*exec.ExitError](err)
			if !ok || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
				t.Fatalf("%v: %s", err, out)
			}
			goOn(t, dir)
		})
	}
}

// goOn opens what a killed process left, and has the next round finish it.
func goOn(t *testing.T, dir string) {
	t.Helper()
	ctx := t.Context()
	now := func() time.Time { return time.Now().Add(135 * day) }
	store, err := sqlstore.Open(ctx, filepath.Join(dir, "pando.db"), sqlstore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	place := blob.OpenDirectory(filepath.Join(dir, "archives"))
	sound := func() *check.Report {
		t.Helper()
		r, err := check.Run(ctx, check.Config{Store: store, Archives: place, Now: now})
		if err != nil {
			t.Fatal(err)
		}
		if !r.OK() || r.Certificates+r.Archived < mortal {
			t.Errorf("%d in the store, %d archived: %v", r.Certificates, r.Archived, r.Findings)
		}
		return r
	}
	all := sound().Certificates + sound().Archived
	s := retention.New(retention.Config{Store: store, Objects: place, Alarms: alarm.NewBoard(now), Now: now, Log: slog.New(slog.DiscardHandler),
		Time: func() (time.Time, error) { return now(), nil },
		Hashes: func(ctx context.Context, tenant pki.TenantID, from int64, n int) (hashes []tlog.Hash, err error) {
			for i := from; i < from+int64(n); i++ {
				tile := tlog.Tile{H: audit.TileHeight, N: i / audit.TileWidth, W: int(i%audit.TileWidth) + 1}
				data, err := store.Tiles(ctx, tenant, []tlog.Tile{tile})
				if err != nil {
					return nil, err
				}
				hashes = append(hashes, tlog.Hash(data[0][len(data[0])-tlog.HashSize:]))
			}
			return hashes, nil
		}})
	for range 2 { // the second has nothing to do
		if err := s.Round(ctx, "acme"); err != nil {
			t.Fatal(err)
		}
	}
	if r := sound(); r.Archived != mortal || r.Archives != 1 || r.Certificates+r.Archived != all {
		t.Errorf("%d archived in %d archives, %d in the store, %d before", r.Archived, r.Archives, r.Certificates, all)
	}
	objects, err := filepath.Glob(filepath.Join(dir, "archives", "acme", "*.gz"))
	if err != nil || len(objects) != 1 {
		t.Errorf("objects: %v, %v", objects, err)
	}
}
