package process

const maxrssUnit = 1024 // getrusage counts kibibytes
