import Schema

// Swift leaves the package out and nests as the proto does; C spells all of it.

func swiftName(_ message: MessageDescriptor) -> String {
  (message.nesting + [message.name]).joined(separator: ".")
}

func swiftName(_ enumeration: EnumDescriptor) -> String {
  (enumeration.nesting + [enumeration.name]).joined(separator: ".")
}

/// `store_id` → `storeId`
func lowerCamel(_ snake: some StringProtocol) -> String {
  let upper = upperCamel(snake)
  return upper.prefix(1).lowercased() + upper.dropFirst()
}

/// `store_id` → `StoreId`
func upperCamel(_ snake: some StringProtocol) -> String {
  snake.split(separator: "_").map { $0.prefix(1).uppercased() + $0.dropFirst() }.joined()
}

/// `CreateStore` → `createStore`
func lowerFirst(_ name: String) -> String {
  name.prefix(1).lowercased() + name.dropFirst()
}

/// A name as a declaration and after a dot: keywords in backticks.
func escaped(_ name: String) -> String {
  swiftKeywords.contains(name) ? "`\(name)`" : name
}

private let swiftKeywords: Set<String> = [
  "Any", "Self", "Type", "as", "associatedtype", "break", "case", "catch", "class", "continue", "default",
  "defer",
  "deinit", "do", "else", "enum", "extension", "fallthrough", "false", "fileprivate", "for", "func", "guard",
  "if",
  "import", "in", "init", "inout", "internal", "is", "let", "nil", "operator", "precedencegroup", "private",
  "protocol", "public", "repeat", "rethrows", "return", "self", "static", "struct", "subscript", "super",
  "switch",
  "throw", "throws", "true", "try", "typealias", "var", "where", "while",
]

/// `mainstreet.store.v1.BusinessHours` → `Mainstreet__Store__V1__BusinessHours`
func cTypeName(_ fullName: String) -> String {
  fullName.split(separator: ".").map(upperCamel).joined(separator: "__")
}

/// `mainstreet.store.v1.BusinessHours` → `mainstreet__store__v1__business_hours`
func cFunctionName(_ fullName: String) -> String {
  fullName.split(separator: ".").map { part in
    var lower = ""
    var wasUpper = true
    for character in part {
      if character.isUppercase && !wasUpper { lower += "_" }
      wasUpper = character.isUppercase
      lower += character.lowercased()
    }
    return lower
  }.joined(separator: "__")
}

/// protoc-gen-c puts an underscore behind what is a keyword of C or C++.
func cFieldName(_ field: FieldDescriptor) -> String {
  let name = field.name.lowercased()
  return cKeywords.contains(name) ? "\(name)_" : name
}

private let cKeywords: Set<String> = [
  "and", "and_eq", "asm", "auto", "bitand", "bitor", "bool", "break", "case", "catch", "char", "class",
  "compl",
  "const", "const_cast", "continue", "default", "delete", "do", "double", "dynamic_cast", "else", "enum",
  "explicit", "extern", "false", "float", "for", "friend", "goto", "if", "inline", "int", "long", "mutable",
  "namespace", "new", "not", "not_eq", "operator", "or", "or_eq", "private", "protected", "public",
  "register",
  "reinterpret_cast", "return", "short", "signed", "sizeof", "static", "static_cast", "struct", "switch",
  "template", "this", "throw", "true", "try", "typedef", "typeid", "typename", "union", "unsigned", "using",
  "virtual", "void", "volatile", "wchar_t", "while", "xor", "xor_eq",
]
