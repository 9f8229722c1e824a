use std::collections::HashSet;

use ratatui::{Terminal, backend::TestBackend, style::Color};

use super::*;
use crate::{
    live::{QueueLook, SlotState},
    top::{Model, made_up::whole_model, picture::ConnectionsPart},
};

const SECOND_NS: u64 = 1_000_000_000;

const PLAIN: Look = Look {
    signs: Signs::Unicode,
    has_colours: false,
};

fn view(picture: &Picture) -> View<'_> {
    View {
        picture,
        look: &PLAIN,
        sort: Sort::Wait,
        with_idle: false,
        follows: true,
        help: false,
        keys: Some(Keys::Running),
    }
}

/// The lines of a screen of this size.
fn drawn(view: &View<'_>, width: u16, height: u16) -> Vec<String> {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal
        .draw(|frame| view.draw(frame.area(), frame.buffer_mut()))
        .unwrap();
    let buffer = terminal.backend().buffer();
    (0..height)
        .map(|y| {
            let line: String = (0..width).map(|x| buffer[(x, y)].symbol()).collect();
            line.trim_end().to_owned()
        })
        .collect()
}

fn picture() -> Picture {
    whole_model().picture(10 * SECOND_NS + SECOND_NS / 2)
}

fn line<'a>(lines: &'a [String], begin: &str) -> &'a str {
    let mut found = lines
        .iter()
        .filter(|line| line.trim_start().starts_with(begin));
    found
        .next()
        .unwrap_or_else(|| panic!("no line {begin:?} in {lines:#?}"))
}

#[test]
fn eighty_columns_and_twenty_four_lines_hold_all_that_matters() {
    let picture = picture();
    let lines = drawn(&view(&picture), 80, 24);
    println!("{}", lines.join("\n"));
    assert!(line(&lines, "mpm-observer top").ends_with("window 10 s"));
    let slots = line(&lines, "slots");
    assert!(slots.contains("9 of 16 busy"), "{slots}");
    assert!(slots.ends_with("[*RWKKKKKK_______]"), "{slots}");
    assert!(line(&lines, "* on CPU 1").contains("K keep-alive 6"));
    assert!(line(&lines, "accept queue").contains("3 of 511"));
    assert!(line(&lines, "connections").contains("14 open, 3 served, 6 kept in a slot"));
    assert!(line(&lines, "requests").contains("switches"));
    let head = line(&lines, "server's part");
    assert!(head.contains("p99.9"), "{head}");
    assert!(line(&lines, "on CPU").contains("50 %"));
    assert!(line(&lines, "file read").contains("50 %"));
    let all = line(&lines, "from arrival");
    assert!(all.contains("999 us   1.49 ms"), "{all}");
    // The longest wait comes first.
    let head = lines.iter().position(|line| line.contains("does")).unwrap();
    assert!(lines[head + 1].contains("sending"), "{lines:#?}");
    assert!(lines[head + 1].contains("192.0.2.1:202"), "{lines:#?}");
    assert!(line(&lines, "! accept-queue-full").contains("was full and 3 packets"));
    assert!(line(&lines, "observer:").ends_with("nothing lost"));
    assert!(lines[23].starts_with("q quit"), "{lines:#?}");
}

#[test]
fn more_room_shows_more_tasks_and_what_they_are_blocked_in() {
    let picture = picture();
    let lines = drawn(&view(&picture), 120, 40);
    println!("{}", lines.join("\n"));
    assert!(lines.iter().any(|line| line.contains("blocked in")));
    let kept = lines
        .iter()
        .filter(|line| line.contains(" keep-alive "))
        .count();
    assert!(kept >= 6, "{lines:#?}");
    assert!(lines[39].starts_with("q quit"));
}

#[test]
fn a_small_screen_has_the_short_form() {
    let picture = picture();
    let lines = drawn(&view(&picture), 60, 15);
    println!("{}", lines.join("\n"));
    assert!(line(&lines, "slots").contains("9 of 16 busy"));
    assert!(line(&lines, "accept queue").contains("3 of 511"));
    assert!(line(&lines, "from arrival").contains("ms"));
    assert!(lines.iter().any(|line| line.contains("sending")));
    assert!(line(&lines, "! accept-queue-full").contains("511"));
    assert!(lines[14].starts_with("q quit"));
}

#[test]
fn a_figure_is_shown_as_a_whole_or_not_at_all() {
    let mut picture = picture();
    picture.connections = ConnectionsPart {
        open: 182,
        serving: 121,
        parked: 2,
        unread: 59,
        unread_for_ns: 10_000_000,
        ..ConnectionsPart::default()
    };
    let connections = |picture: &Picture, width| {
        let lines = drawn(&view(picture), width, 24);
        line(&lines, "connections").to_owned()
    };
    assert_eq!(
        connections(&picture, 81),
        "connections   182 open, 121 served, 2 parked without one, 59 not read for 10.0 ms"
    );
    assert_eq!(
        connections(&picture, 80),
        "connections   182 open, 121 served, 2 parked, 59 unread 10.0 ms"
    );
    picture.connections.finishing = 1_234;
    picture.connections.holding = 1_000;
    assert_eq!(
        connections(&picture, 78),
        "connections   182 open, 121 served, 1,000 kept, 2 parked, 59 unread 10.0 ms"
    );

    picture.accept_queue.overflows_of_namespace = 1_234_567;
    let server = picture.server.as_mut().unwrap();
    server.watched_ports = vec![18_777, 18_778, 18_779];
    picture.requests.unanswered = 12;
    picture.observer.programs_ns = Some(1_000_000);
    // What a large screen shows is on each smaller one in the same words, or not at all.
    let words = |width, height| -> Vec<String> {
        let lines = drawn(&view(&picture), width, height).join("\n");
        let no_bar = lines.replace(['█', '·', '*', '[', ']'], " ");
        let words = no_bar.split_whitespace();
        let words = words.map(|word| word.trim_matches([',', ';', '(', ')']));
        words.map(str::to_owned).collect()
    };
    let all: HashSet<String> = words(109, 60).into_iter().collect();
    let figures = |word: &String| word.chars().any(|letter| letter.is_ascii_digit());
    for width in 40..109 {
        for word in words(width, 24).into_iter().filter(figures) {
            assert!(all.contains(&word), "{word:?} at {width}");
        }
    }
}

#[test]
fn of_several_accept_queues_the_fullest_is_shown_with_its_port() {
    let mut model = whole_model();
    let mut look = crate::top::made_up::look(10 * SECOND_NS + 1, Vec::new());
    look.queues = [(18_777, 11), (18_778, 0)]
        .map(|(port, length)| QueueLook {
            port,
            length,
            limit: 10,
        })
        .into();
    model.look(&look);
    let picture = model.picture(10 * SECOND_NS + 2);
    let queue = &picture.accept_queue;
    assert_eq!((queue.length, queue.limit), (Some(11), Some(10)));
    assert_eq!((queue.longest, queue.queues.len()), (11, 2));
    let lines = drawn(&view(&picture), 80, 24);
    let shown = line(&lines, "accept queue");
    assert!(
        shown.contains("11 of 10 at port 18777, most 11;"),
        "{shown}"
    );
}

#[test]
fn no_size_is_too_small_to_draw_on() {
    let picture = picture();
    for (width, height) in [(1, 1), (10, 3), (20, 9), (200, 2), (5, 60), (300, 100)] {
        for help in [false, true] {
            let view = View {
                help,
                ..view(&picture)
            };
            drawn(&view, width, height);
        }
    }
}

#[test]
fn a_server_that_ended_is_told() {
    let mut model = whole_model();
    model.end(11 * SECOND_NS);
    let picture = model.picture(14 * SECOND_NS);
    let lines = drawn(&view(&picture), 80, 24);
    let told = "httpd (pid 4242) has ended 3 s ago; waiting for the next one";
    assert_eq!(lines[1], told);
    let slots = line(&lines, "slots");
    assert!(slots.starts_with("slots         none (") && slots.ends_with("average)"));
    assert!(line(&lines, "accept queue").contains("nobody listens"));
    let alone = View {
        follows: false,
        ..view(&picture)
    };
    let lines = drawn(&alone, 80, 24);
    let told = "httpd (pid 4242) has ended 3 s ago; --pid names no other to wait for";
    assert_eq!(lines[1], told);
}

#[test]
fn before_there_is_a_server_there_is_no_trouble() {
    let picture = Model::new(Some(SECOND_NS)).picture(1);
    let lines = drawn(&view(&picture), 80, 24);
    assert!(line(&lines, "accept queue").contains("nobody listens"));
    assert!(lines.iter().any(|line| line == "no slot is busy"));
}

#[test]
fn help_explains_every_key_and_every_state() {
    let picture = picture();
    let view = View {
        help: true,
        ..view(&picture)
    };
    let text = drawn(&view, 80, 24).join("\n");
    println!("{text}");
    for state in SlotState::ALL {
        assert!(
            text.contains(&format!("{} ", look::sign(state))),
            "{state:?}"
        );
    }
    for words in [
        "stops drawing",
        "sorts",
        "ends this",
        "idle tasks",
        "window",
    ] {
        assert!(text.contains(words), "{words}");
    }
    for line in HELP {
        assert!(line.chars().count() <= 80, "{line}");
    }
}

#[test]
fn a_pause_is_told_and_idle_tasks_can_be_listed() {
    let picture = picture();
    let paused = View {
        keys: Some(Keys::Paused),
        ..view(&picture)
    };
    assert!(drawn(&paused, 80, 24)[23].starts_with("paused"));
    let idle = View {
        with_idle: true,
        ..view(&picture)
    };
    let lines = drawn(&idle, 120, 40);
    assert!(lines.iter().filter(|line| line.contains(" idle ")).count() >= 7);
}

#[test]
fn each_order_of_the_tasks_has_its_first() {
    let picture = picture();
    let first = |sort| {
        let view = View {
            sort,
            ..view(&picture)
        };
        let lines = drawn(&view, 120, 40);
        let head = lines.iter().position(|line| line.contains("does")).unwrap();
        let word = lines[head + 1].split_whitespace().next().unwrap();
        word.parse::<u32>().unwrap()
    };
    assert_eq!(first(Sort::Wait), 202);
    assert_eq!(first(Sort::Request), 202);
    assert_eq!(first(Sort::Task), 100);
    let mut sort = Sort::default();
    let around: Vec<&str> = (0..4)
        .map(|_| {
            sort = sort.next();
            sort.name()
        })
        .collect();
    assert_eq!(around, ["request", "cpu", "task", "wait"]);
}

#[test]
fn without_colours_no_cell_has_one_and_with_them_some_have() {
    let picture = picture();
    for has_colours in [false, true] {
        let look = Look {
            has_colours,
            ..PLAIN
        };
        let view = View {
            look: &look,
            ..view(&picture)
        };
        let area = Rect::new(0, 0, 80, 24);
        let mut buffer = Buffer::empty(area);
        view.draw(area, &mut buffer);
        let coloured = buffer.content().iter().any(|cell| cell.fg != Color::Reset);
        assert_eq!(coloured, has_colours);
    }
}

#[test]
fn plain_lines_hold_the_same() {
    let text = crate::top::lines(&picture());
    println!("{text}");
    for words in [
        "9 of 16 busy",
        "from arrival",
        "sending",
        "accept-queue-full",
        "nothing lost",
    ] {
        assert!(text.contains(words), "{words}");
    }
    assert!(!text.contains('\x1b') && !text.contains("q quit"));
}
