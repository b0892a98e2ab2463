package pickle

import (
	"slices"
	"strings"
)

// exceptions are the exceptions of the standard library that are values: by module, as any Python
// names it. Making one has no effect but the object.
var exceptions = map[string]string{
	"builtins": ` ArithmeticError AssertionError AttributeError BaseException BaseExceptionGroup BlockingIOError BrokenPipeError
		BufferError BytesWarning ChildProcessError ConnectionAbortedError ConnectionError ConnectionRefusedError
		ConnectionResetError DeprecationWarning EOFError EncodingWarning EnvironmentError Exception ExceptionGroup
		FileExistsError FileNotFoundError FloatingPointError FutureWarning GeneratorExit IOError ImportError ImportWarning
		IndentationError IndexError InterruptedError IsADirectoryError KeyError KeyboardInterrupt LookupError MemoryError
		ModuleNotFoundError NameError NotADirectoryError NotImplementedError OSError OverflowError
		PendingDeprecationWarning PermissionError ProcessLookupError PythonFinalizationError RecursionError ReferenceError
		ResourceWarning RuntimeError RuntimeWarning StandardError StopAsyncIteration StopIteration SyntaxError
		SyntaxWarning SystemError SystemExit TabError TimeoutError TypeError UnboundLocalError UnicodeDecodeError
		UnicodeEncodeError UnicodeError UnicodeTranslateError UnicodeWarning UserWarning ValueError Warning
		ZeroDivisionError `,
	"_csv":                     " Error ",
	"_pickle":                  " PickleError PicklingError UnpicklingError ",
	"pickle":                   " PickleError PicklingError UnpicklingError ",
	"asyncio.exceptions":       ` BrokenBarrierError CancelledError InvalidStateError SendfileNotAvailableError TimeoutError `,
	"binascii":                 " Error Incomplete ",
	"concurrent.futures._base": " BrokenExecutor CancelledError InvalidStateError TimeoutError ",
	"configparser":             " Error NoSectionError ParsingError ",
	"decimal": ` Clamped DecimalException DivisionByZero FloatOperation Inexact InvalidOperation Overflow Rounded
		Subnormal Underflow `,
	"ftplib": " Error error_perm error_proto error_reply error_temp ",
	"http.client": ` BadStatusLine CannotSendHeader CannotSendRequest HTTPException ImproperConnectionState IncompleteRead
		InvalidURL LineTooLong NotConnected RemoteDisconnected ResponseNotReady UnknownProtocol UnknownTransferEncoding `,
	"ipaddress":               " AddressValueError NetmaskValueError ",
	"json.decoder":            " JSONDecodeError ",
	"multiprocessing.context": " AuthenticationError BufferTooShort ProcessError TimeoutError ",
	"queue":                   " Empty Full ShutDown ",
	"shutil":                  " Error ExecError ReadError RegistryError SameFileError SpecialFileError ",
	"smtplib":                 " SMTPException SMTPNotSupportedError SMTPRecipientsRefused SMTPServerDisconnected ",
	"socket":                  " error gaierror herror timeout ",
	"sqlite3": ` DataError DatabaseError Error IntegrityError InterfaceError InternalError NotSupportedError
		OperationalError ProgrammingError Warning `,
	"ssl": ` SSLCertVerificationError SSLEOFError SSLError SSLSyscallError SSLWantReadError SSLWantWriteError
		SSLZeroReturnError `,
	"struct":                " error ",
	"subprocess":            " CalledProcessError SubprocessError TimeoutExpired ",
	"urllib.error":          " URLError ",
	"xml.etree.ElementTree": " ParseError ",
	"zipfile":               " BadZipFile LargeZipFile ",
	"zlib":                  " error ",
}

// libraryModule is the name that every Python 3 has for a module of which some have another one.
func libraryModule(module string) string {
	switch module {
	case "pathlib._local":
		return "pathlib"
	case "_queue", "Queue":
		return "queue"
	case "__builtin__", "exceptions":
		return "builtins"
	}
	return module
}

func isException(module, name string) bool {
	return slices.Contains(strings.Fields(exceptions[module]), name)
}

// knownMore is known for what needs no more than its arguments to be judged; plain says that no
// class is among them.
func knownMore(v *Value, module, name string, plain bool) bool {
	args := v.Items[1].Items
	if !plain {
		return false
	}
	switch module {
	case "__main__":
		return v.More == nil && !strings.Contains(name, ".") && (v.Kind == New && len(args) > 0 || member(v))
	case "fractions":
		_, ok := fractionText(args)
		return name == "Fraction" && ok && v.Kind == Reduce && v.More == nil
	case "pathlib":
		_, ok := pathText(name, args)
		return ok && v.Kind == Reduce && v.More == nil
	case "collections":
		switch name {
		case "Counter":
			return v.Kind == Reduce && v.More == nil && (len(args) == 0 || len(args) == 1 && args[0].Kind == Dict)
		case "deque":
			_, ok := dequeItems(v)
			return ok
		}
	case "builtins":
		if name == "complex" {
			return v.Kind == Reduce && v.More == nil && len(args) == 2 && args[0].Kind == Float && args[1].Kind == Float
		}
	}
	if module == "subprocess" && name != "SubprocessError" && len(args) < 2 {
		return false // as Python 2 writes it, and no Python can read it
	}
	return v.Kind == Reduce && isException(module, name) && (v.More == nil || attributes(v.More))
}

// attributes reports whether an exception has members as a dict, and nothing else.
func attributes(m *More) bool {
	if m.List != nil || m.Dict != nil || len(m.State) != 1 || m.State[0].Kind != Dict {
		return false
	}
	for i, x := range m.State[0].Items {
		if x.Kind == Global || i%2 == 0 && (x.Kind != Text && x.Kind != Str ||
			strings.HasPrefix(string(x.Raw), "__") && string(x.Raw) != "__notes__") {
			return false
		}
	}
	return true
}

// member reports whether v is made as pickles make a member of an Enum of the main program: by a
// call with its value. So might be what any function returns, which is why it goes to Python as
// [Member] makes it.
func member(v *Value) bool {
	if module, name := v.Class(); module != "__main__" || strings.Contains(name, ".") || v.Kind != Reduce ||
		v.More != nil {
		return false
	}
	args := v.Items[1].Items
	return len(args) == 1 && (args[0].Kind < ByteArray || args[0].Kind == Tuple)
}

// Member makes a call of what [Check] listed among Members into the making of an object: Python
// looks a member of an Enum up in that way too, and refuses what is no class.
func Member(v *Value) { v.Kind = New }

// fractionText is the usual text of a Fraction.
func fractionText(args []*Value) (string, bool) {
	var parts []string
	switch {
	case len(args) == 2:
		for _, x := range args {
			switch x.Kind {
			case Int, Big:
				parts = append(parts, string(integer(nil, x)))
			}
		}
	case len(args) == 1 && (args[0].Kind == Text || args[0].Kind == Str) && len(args[0].Raw) <= 1000:
		parts = strings.SplitN(string(args[0].Raw), "/", 2)
		if len(parts) == 1 {
			parts = append(parts, "1")
		}
	}
	if len(parts) != 2 {
		return "", false
	}
	for _, p := range []string{strings.TrimPrefix(parts[0], "-"), parts[1]} {
		if p == "" || strings.Trim(p, "0123456789") != "" {
			return "", false
		}
	}
	if strings.Trim(parts[1], "0") == "" {
		return "", false
	}
	return parts[0] + "/" + parts[1], true
}

// pathText is the text of an object of pathlib: it has its parts, or in newer Pythons what it was
// made of.
func pathText(class string, args []*Value) (string, bool) {
	sep := "/"
	switch class {
	case "WindowsPath", "PureWindowsPath":
		sep = `\`
	case "Path", "PosixPath", "PurePath", "PurePosixPath":
	default:
		return "", false
	}
	text := ""
	for _, x := range args {
		if x.Kind != Text && x.Kind != Str {
			return "", false
		}
		if text != "" && !strings.HasSuffix(text, sep) {
			text += sep
		}
		text += string(x.Raw)
	}
	if text == "" {
		text = "."
	}
	return text, true
}

// dequeItems is what a deque holds.
func dequeItems(v *Value) ([]*Value, bool) {
	args := v.Items[1].Items
	if v.Kind != Reduce || len(args) > 2 || v.More != nil && (v.More.Dict != nil || v.More.State != nil) {
		return nil, false
	}
	if len(args) == 2 && args[1].Kind != None && (args[1].Kind != Int || int64(args[1].Num) < 0) {
		return nil, false
	}
	var items []*Value
	if len(args) > 0 {
		if args[0].Kind != List && args[0].Kind != Tuple {
			return nil, false
		}
		items = slices.Clip(args[0].Items)
	}
	if v.More != nil {
		items = append(items, v.More.List...)
	}
	return items, !slices.ContainsFunc(items, func(x *Value) bool { return x.Kind == Global })
}
