package statuscheck

const (
	Window   = window
	Patience = patience
)

var (
	Near        = near
	SomeSerials = someSerials
)
