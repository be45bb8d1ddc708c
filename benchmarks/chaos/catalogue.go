package chaos

type catalogue struct{}
