package import ArgumentParser
import Glibc
import Logging
import ServiceLifecycle

extension ServiceProgram {
  /// Does what the command line asks. The process ends with 0 after an orderly shutdown, 64 for wrong usage, 1
  /// otherwise.
  package static func run() async {
    await ServiceCommand<Self>.main()
  }
}

/// The command line of a program: `serve` (the default), `migrate` where there is a schema, and commands of its own.
package struct ServiceCommand<Program: ServiceProgram>: AsyncParsableCommand {
  package static var configuration: CommandConfiguration {
    CommandConfiguration(
      commandName: Program.name,
      abstract: Program.summary,
      discussion: SettingsHelp.text(service: Program.name, settings: Runner<Program>.settings),
      subcommands: (Program.self is any MigratingProgram.Type
        ? [Serve<Program>.self, Migrate<Program>.self] : [Serve<Program>.self]) + Program.commands,
      defaultSubcommand: Serve<Program>.self)
  }

  package init() {}
}

struct Serve<Program: ServiceProgram>: AsyncParsableCommand {
  static var configuration: CommandConfiguration {
    CommandConfiguration(
      commandName: "serve", abstract: "Serve until SIGTERM or SIGINT, then finish what is running.",
      discussion: SettingsHelp.text(service: Program.name, settings: Runner<Program>.settings))
  }

  @Option(help: ArgumentHelp("A JSON file with settings.", valueName: "path"))
  var config: String?

  @Argument(parsing: .allUnrecognized, help: .hidden)
  var flags: [String] = []

  func run() async throws {
    await Runner<Program>(arguments: flags, file: config).serve()
  }
}

struct Migrate<Program: ServiceProgram>: AsyncParsableCommand {
  static var configuration: CommandConfiguration {
    CommandConfiguration(
      commandName: "migrate", abstract: "Bring the database schema up to this version, then exit.",
      discussion: SettingsHelp.text(service: Program.name, settings: Runner<Program>.settings))
  }

  @Flag(help: "Print what would be done and do nothing.")
  var dryRun = false

  @Option(help: ArgumentHelp("A JSON file with settings.", valueName: "path"))
  var config: String?

  @Argument(parsing: .allUnrecognized, help: .hidden)
  var flags: [String] = []

  func run() async throws {
    await Runner<Program>(arguments: flags, file: config).migrate(dryRun: dryRun)
  }
}

enum SettingsHelp {
  /// A paragraph per setting: flag, variable, default, meaning.
  static func text(service: String, settings: [Setting]) -> String {
    let paragraphs = settings.map { setting in
      let presence =
        setting.defaultValue.map { "default: \($0)" } ?? (setting.isOptional ? "optional" : "required")
      return
        "  \(setting.flag) <value>\n      \(setting.help) (\(setting.variable(of: service)); \(presence))"
    }
    return "SETTINGS (flag, else environment variable, else --config file, else default):\n"
      + paragraphs.joined(separator: "\n")
  }
}
