package cli

import (
	"context"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// An untilSeen is an output that ends something once it has a text.
type untilSeen struct {
	strings.Builder
	text string
	end  func()
}

// Write implements io.Writer.
func (u *untilSeen) Write(p []byte) (int, error) {
	n, err := u.Builder.Write(p)
	if strings.Contains(u.String(), u.text) {
		u.end()
	}
	return n, err
}

// TestEventsFollow: the newest are shown and then each that comes, once and oldest
// first, also more than a page at once.
func TestEventsFollow(t *testing.T) {
	var mu sync.Mutex
	var all []string // oldest first
	add := func(n int) {
		for range n {
			all = append(all, fmt.Sprintf(`{"id":"%06d","at":"2026-11-25T12:00:00Z","actor":"token:x","action":"a.b","target":"t:%d"}`, len(all), len(all)))
		}
	}
	add(5)
	srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		end := len(all)
		if before := r.URL.Query().Get("before"); before != "" {
			fmt.Sscan(strings.TrimLeft(before, "0"), &end)
		}
		begin := max(0, end-followPage)
		var page []string
		for i := end - 1; i >= begin; i-- {
			page = append(page, all[i])
		}
		next := ""
		if begin > 0 {
			next = fmt.Sprintf("%06d", begin)
		}
		if end == 5 {
			add(150)
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"items":[%s],"next":%q}`, strings.Join(page, ","), next)
	}))
	defer srv.Close()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv(serverVariable, srv.URL)
	t.Setenv(tlsCAVariable, ca)
	t.Setenv(tokenVariable, "pando_x")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	out := &untilSeen{text: "t:154\n", end: cancel}
	if status := Run(ctx, []string{"events", "--follow", "--limit", "2"}, strings.NewReader(""), out, os.Stderr); status != exitDone {
		t.Errorf("status %d", status)
	}
	var want strings.Builder
	for n := 3; n < 155; n++ {
		fmt.Fprintf(&want, "2026-11-25 12:00:00Z  token:x  a.b  t:%d\n", n)
	}
	if out.String() != want.String() {
		t.Errorf("followed:\n%s", out.String())
	}
}
