package bench

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// A Machine is where a run was made.
type Machine struct {
	CPU        string  `json:"cpu"`
	Cores      int     `json:"cores"`
	Kernel     string  `json:"kernel"`
	Go         string  `json:"go"`
	Filesystem string  `json:"filesystem"` // of the server's data
	SyncUS     float64 `json:"sync_us"`    // median of a sync of 4 KiB there, microseconds
	MemoryMiB  int64   `json:"memory_mib"`
	LoadBefore string  `json:"load_before"` // of /proc/loadavg: others use the machine too
	LoadAfter  string  `json:"load_after"`
}

// filesystems are those that servers are run on, by their magic numbers.
var filesystems = map[int64]string{
	unix.EXT4_SUPER_MAGIC: "ext4", unix.XFS_SUPER_MAGIC: "xfs", unix.BTRFS_SUPER_MAGIC: "btrfs",
	unix.TMPFS_MAGIC: "tmpfs", unix.OVERLAYFS_SUPER_MAGIC: "overlayfs", unix.NFS_SUPER_MAGIC: "nfs", 0x2fc12fc1: "zfs",
}

func describe(dir string) (*Machine, error) {
	m := &Machine{Cores: runtime.GOMAXPROCS(0), Go: runtime.Version(), CPU: "unknown"}
	info, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return nil, fmt.Errorf("measuring needs Linux: %w", err)
	}
	for line := range strings.Lines(string(info)) {
		if name, value, _ := strings.Cut(line, ":"); strings.TrimSpace(name) == "model name" {
			m.CPU = strings.TrimSpace(value)
			break
		}
	}
	release, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return nil, err
	}
	m.Kernel = strings.TrimSpace(string(release))
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err != nil {
		return nil, fmt.Errorf("looking at the filesystem of %s: %w", dir, err)
	}
	m.Filesystem = filesystems[int64(fs.Type)]
	if m.Filesystem == "" {
		m.Filesystem = fmt.Sprintf("type %#x", fs.Type)
	}
	var memory unix.Sysinfo_t
	if err := unix.Sysinfo(&memory); err != nil {
		return nil, err
	}
	m.MemoryMiB = int64(memory.Totalram) * int64(memory.Unit) >> 20
	if m.SyncUS, err = measureSync(dir); err != nil {
		return nil, err
	}
	m.LoadBefore, err = loadAverage()
	return m, err
}

func (m *Machine) end() (err error) {
	m.LoadAfter, err = loadAverage()
	return err
}

func loadAverage() (string, error) {
	text, err := os.ReadFile("/proc/loadavg")
	words := strings.Fields(string(text))
	return strings.Join(words[:min(3, len(words))], " "), err
}

// measureSync appends blocks of 4 KiB to a file and syncs each, as a commit does.
func measureSync(dir string) (us float64, err error) {
	path := filepath.Join(dir, "sync")
	f, err := os.Create(path)
	if err != nil {
		return 0, err
	}
	defer os.Remove(path)
	defer f.Close()
	var took []float64
	block := make([]byte, 4096)
	for range 32 {
		begun := time.Now()
		if _, err := f.Write(block); err != nil {
			return 0, err
		}
		if err := f.Sync(); err != nil {
			return 0, err
		}
		took = append(took, float64(time.Since(begun).Microseconds()))
	}
	slices.Sort(took)
	return median(took), nil
}
