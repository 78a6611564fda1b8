//! What people of the demo workspace are called, ask and are told.

/// Companies, by what they are called and what they do.
pub(super) const COMPANIES: [(&str, &str); 40] = [
    ("Alder & Finch", "Retail"),
    ("Anchor Freight", "Logistics"),
    ("Aurora Dental", "Health"),
    ("Basalt Works", "Manufacturing"),
    ("Bellwether Media", "Media"),
    ("Birchwood Schools", "Education"),
    ("Blue Harbor", "Travel"),
    ("Brightline Energy", "Energy"),
    ("Cascade Foods", "Food"),
    ("Cedar Clinic", "Health"),
    ("Cobalt Systems", "Software"),
    ("Copperfield Books", "Retail"),
    ("Dovetail Homes", "Construction"),
    ("Driftwood Cafe", "Food"),
    ("Eastgate Bank", "Finance"),
    ("Ember Studios", "Media"),
    ("Fernhill Farms", "Agriculture"),
    ("Foxglove Pharma", "Health"),
    ("Granite Legal", "Legal"),
    ("Greenline Transit", "Transport"),
    ("Harvest Table", "Food"),
    ("Heron Analytics", "Software"),
    ("Ironbridge Tools", "Manufacturing"),
    ("Juniper Travel", "Travel"),
    ("Kestrel Security", "Security"),
    ("Lakeside Hotels", "Travel"),
    ("Lantern Press", "Media"),
    ("Maple Insurance", "Finance"),
    ("Meridian Labs", "Research"),
    ("Northwind Sails", "Retail"),
    ("Oakline Furniture", "Retail"),
    ("Orchard Payments", "Finance"),
    ("Pebble Games", "Software"),
    ("Quarry Stone", "Construction"),
    ("Redwood Realty", "Real estate"),
    ("Saffron Kitchen", "Food"),
    ("Silverbirch Spa", "Health"),
    ("Tidewater Shipping", "Logistics"),
    ("Umber Ceramics", "Manufacturing"),
    ("Willow Events", "Events"),
];

/// First names.
pub(super) const FIRST: [&str; 24] = [
    "Amara", "Ben", "Carla", "Daniel", "Elif", "Felix", "Grace", "Hugo", "Irene", "Jonas", "Kiran", "Lena",
    "Marco", "Nadia", "Oscar", "Priya", "Quentin", "Rosa", "Samir", "Tara", "Uma", "Viktor", "Wendy",
    "Yusuf",
];

/// Last names.
pub(super) const LAST: [&str; 22] = [
    "Abbott",
    "Bauer",
    "Castillo",
    "Dubois",
    "Eriksen",
    "Fontana",
    "Greene",
    "Hoffmann",
    "Ito",
    "Jensen",
    "Kowalski",
    "Lindqvist",
    "Moreau",
    "Novak",
    "Okafor",
    "Pereira",
    "Quinn",
    "Rossi",
    "Sato",
    "Tanaka",
    "Vogel",
    "Weber",
];

/// What people do.
pub(super) const POSITIONS: [&str; 8] = [
    "Office manager",
    "Head of IT",
    "Managing director",
    "Accountant",
    "Operations lead",
    "Marketing manager",
    "Buyer",
    "Support lead",
];

/// A kind of request: its title, what is wrong, how it ended.
pub(super) struct Topic {
    pub(super) tag: &'static str,
    pub(super) title: &'static str,
    pub(super) asked: &'static str,
    pub(super) resolution: &'static str,
}

/// What people ask for.
pub(super) const TOPICS: [Topic; 12] = [
    Topic {
        tag: "billing",
        title: "Refund for a double charge",
        asked: "We were charged twice this month. Please refund one of the payments.",
        resolution: "Refunded the second payment; it arrives within five working days.",
    },
    Topic {
        tag: "billing",
        title: "Invoice has the old address",
        asked: "Our invoice still shows the address we moved away from.",
        resolution: "Changed the billing address and sent the invoice again.",
    },
    Topic {
        tag: "export",
        title: "Export gives an empty file",
        asked: "The CSV export of last month has a header and nothing else.",
        resolution: "The time zone of the report was wrong; the export is complete now.",
    },
    Topic {
        tag: "login",
        title: "Cannot sign in after changing the password",
        asked: "The new password is refused on the phone but works on the laptop.",
        resolution: "Ended the old sessions; signing in works on both.",
    },
    Topic {
        tag: "login",
        title: "Two-factor codes are not accepted",
        asked: "Every code from the app is called invalid.",
        resolution: "The clock of the phone was four minutes late.",
    },
    Topic {
        tag: "integration",
        title: "Webhook stopped arriving",
        asked: "Since Tuesday our endpoint gets no events any more.",
        resolution: "Their certificate had expired; events were sent again.",
    },
    Topic {
        tag: "import",
        title: "Import stops half way",
        asked: "Importing our contacts stops after about five hundred rows.",
        resolution: "One row had an unreadable date; the message now names the row.",
    },
    Topic {
        tag: "performance",
        title: "Reports are slow in the morning",
        asked: "Opening the pipeline report takes almost a minute before nine.",
        resolution: "Moved the nightly job; the report opens in two seconds.",
    },
    Topic {
        tag: "account",
        title: "Add three more seats",
        asked: "Three colleagues join us on Monday. Please add seats.",
        resolution: "Added three seats; they are on the next invoice.",
    },
    Topic {
        tag: "account",
        title: "Cancel our plan at the end of the term",
        asked: "We will not renew. Please confirm the end date.",
        resolution: "Confirmed the end date and sent the export of their data.",
    },
    Topic {
        tag: "bug",
        title: "Attachments are shown twice",
        asked: "Each attachment appears two times in a conversation.",
        resolution: "Fixed with the update of this week.",
    },
    Topic {
        tag: "question",
        title: "How do I change the opening hours?",
        asked: "Where do we set that we are closed on Fridays?",
        resolution: "Showed them the business hours of the channel.",
    },
];

/// What somebody says in a conversation, and what we say; more of it if it goes on.
pub(super) const DIALOGUES: [(&str, [&str; 4]); 6] = [
    (
        "When do I get my refund?",
        [
            "I sent my order back two weeks ago. When do I get my refund?",
            "Thank you for waiting. A refund takes five working days after the parcel has arrived; yours arrived on Monday.",
            "So by the end of the week?",
            "Yes, by Friday at the latest.",
        ],
    ),
    (
        "Price for twenty seats",
        [
            "What would twenty seats cost us for a year?",
            "For twenty seats it is 1 800 a year, with two months free if you pay at once.",
            "Can we pay by invoice?",
            "Of course. I send you the offer today.",
        ],
    ),
    (
        "The app does not open",
        [
            "Since the update the app closes right after it opens.",
            "I am sorry about that. Which phone and which version is it?",
            "A five year old one, version 4.2.",
            "Version 4.3 mends this; it is in the store since this morning.",
        ],
    ),
    (
        "Delivery address",
        [
            "Can I still change the delivery address of order 20731?",
            "Yes, it has not left yet. Where shall it go?",
            "To our shop in Harbour Street 4.",
            "Done. It leaves tomorrow.",
        ],
    ),
    (
        "Holiday opening hours",
        [
            "Are you there between the holidays?",
            "We answer on all working days, from nine to one.",
            "Thank you!",
            "You are welcome.",
        ],
    ),
    (
        "Password reset mail",
        [
            "I never get the mail to reset my password.",
            "It was held back by your provider. I have sent it again; please look into the spam folder, too.",
            "Found it.",
            "Great. Anything else?",
        ],
    ),
];

/// What colleagues tell each other.
pub(super) const NOTES: [&str; 6] = [
    "I can reproduce it.",
    "Asked the customer for a screenshot.",
    "Same as the one from last week.",
    "Waiting for the vendor.",
    "Talked to them on the phone, they are patient.",
    "Needs a look by the developers.",
];

/// Articles: title, collection, whether everybody may read it, and the text.
pub(super) const ARTICLES: [(&str, &str, bool, &str); 24] = [
    (
        "Refund policy",
        "Billing",
        true,
        "We refund every order within thirty days.\n\n# How long it takes\n\nThe money comes back within five working days after the parcel has arrived, to the card or account that paid.\n\n# What is not refunded\n\nGift cards and goods made to order.\n",
    ),
    (
        "Double charges",
        "Billing",
        true,
        "A charge that appears twice is usually a reservation that ends by itself.\n\n# When to write to us\n\nIf both are still there after three days, tell us the date and the amount.\n",
    ),
    (
        "Invoices by mail",
        "Billing",
        true,
        "Invoices are sent on the first of each month.\n\n# Change the address\n\nOpen Settings, Billing, and change the address before the end of the month.\n",
    ),
    (
        "Change your plan",
        "Billing",
        true,
        "Plans change at once; what is left of the old one is credited.\n\n# Seats\n\nAdd seats under Settings, Team. Each counts from the day it is added.\n",
    ),
    (
        "Cancel a subscription",
        "Billing",
        true,
        "Plans end with their term.\n\n# Before you go\n\nExport your data; it is deleted ninety days after the end.\n",
    ),
    (
        "Reset your password",
        "Account",
        true,
        "Choose *Forgot password* on the sign-in page.\n\n# The mail does not come\n\nLook into the spam folder. Some providers hold it back for ten minutes.\n",
    ),
    (
        "Two-factor sign-in",
        "Account",
        true,
        "An app on the phone shows a code that changes every thirty seconds.\n\n# Codes are refused\n\nSet the clock of the phone to automatic: codes depend on it.\n\n# Lost phone\n\nUse one of the recovery codes, or ask an owner of your workspace.\n",
    ),
    (
        "Invite colleagues",
        "Account",
        true,
        "Owners and admins invite people under Settings, Team. An invitation is good for seven days.\n",
    ),
    (
        "Export your data",
        "Data",
        true,
        "Every list has an export.\n\n# Formats\n\nCSV and JSON, in UTF-8.\n\n# An empty file\n\nCheck the period and the time zone of the report.\n",
    ),
    (
        "Import contacts",
        "Data",
        true,
        "Import a CSV file with a header.\n\n# Errors\n\nA row that cannot be read is named with its number; mend it and import the rest.\n",
    ),
    (
        "Webhooks",
        "Integrations",
        true,
        "We post events as JSON to your address.\n\n# Signature\n\nEach request is signed; refuse what does not verify.\n\n# Retries\n\nSix attempts within a day.\n",
    ),
    (
        "Opening hours and holidays",
        "Channels",
        true,
        "Each channel has opening hours, a time zone and holidays. Answers are promised within them.\n",
    ),
    (
        "Chat on your site",
        "Channels",
        true,
        "Copy the snippet from Widgets and name your site among the allowed origins.\n",
    ),
    (
        "Mail channels",
        "Channels",
        true,
        "Forward your support address to the address of the channel.\n\n# Sender\n\nAnswers come from your own address once its domain is verified.\n",
    ),
    (
        "Shipping and delivery",
        "Orders",
        true,
        "Orders leave within two working days.\n\n# Another address\n\nIt can be changed until the parcel leaves.\n",
    ),
    (
        "Order status",
        "Orders",
        true,
        "The number of the parcel is in the mail that says it left.\n",
    ),
    (
        "Data protection",
        "Legal",
        true,
        "Data stay in the region you choose. The contract is in Settings, Legal.\n",
    ),
    (
        "Who may give refunds",
        "Handbook",
        false,
        "Up to 200 every member, above that an admin.\n\n# How\n\nRefund in the payment system and note the number on the ticket.\n",
    ),
    (
        "Urgent tickets",
        "Handbook",
        false,
        "Urgent is what stops a customer's business. First answer within an hour.\n\n# Whom to call\n\nThe on-call list is pinned in the channel.\n",
    ),
    (
        "Tone of voice",
        "Handbook",
        false,
        "Short sentences, no blame, say what happens next.\n",
    ),
    (
        "Escalations",
        "Handbook",
        false,
        "Open a ticket from the conversation, with the steps to reproduce.\n",
    ),
    (
        "Renewals",
        "Handbook",
        false,
        "Write ninety days before the end of the term. Health below 40 needs a call.\n",
    ),
    (
        "Known issues",
        "Handbook",
        false,
        "Attachments shown twice: fixed this week. Slow reports before nine: job moved.\n",
    ),
    (
        "Old price list",
        "Handbook",
        false,
        "Replaced by the new plans.\n",
    ),
];
