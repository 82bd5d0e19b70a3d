package statuscheck

const Window = window

var (
	Near        = near
	SomeSerials = someSerials
)
